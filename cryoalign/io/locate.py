"""Where the image stacks that metadata name lie on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryoalign.particles import Particles


def locate_stacks(particles: Particles, root: Path | str | None = None) -> dict[str, Path]:
    """Find every stack that the particles name.

    Metadata name stacks relative to the project folder of the program that wrote them, and are
    themselves often some levels below it. So a relative name is looked for in `root` where one is given,
    else in the metadata file's folder and then in its parents, nearest first. An absolute name is taken
    as it is, and below `root`.

    Parameters
    ----------
    particles : Particles
        The particles.
    root : Path or str, optional
        The folder that the names are relative to.

    Returns
    -------
    dict of str to Path
        The file of each distinct name in ``particles.stack``.

    Raises
    ------
    InputError
        If a stack is nowhere; every place that was tried is listed.
    """
    names, first = np.unique(particles.stack, return_index=True)
    rows = particles.row[first].tolist()
    return locate_named(dict(zip(names.tolist(), rows, strict=True)), particles.source, root)


def locate_named(names: Mapping[str, int], source: Path, root: Path | str | None = None) -> dict[str, Path]:
    """Find stacks as `locate_stacks` does, by their names.

    Parameters
    ----------
    names : mapping of str to int
        Each with the 1-based row of the metadata that names it first.
    source : Path
        The metadata file.
    root : Path or str, optional
        The folder that the names are relative to.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    InputError
        As in `locate_stacks`.
    """
    if root is not None and not Path(root).is_dir():
        raise InputError(
            "the root folder of the stacks is not there",
            file=root,
            expected="a folder",
            remedy="look for a typing error, or leave root= out",
        )
    folders = [Path(root)] if root is not None else list(source.absolute().parents)
    found: dict[str, Path] = {}
    missing: list[tuple[int, str]] = []
    for name, row in names.items():
        path = next((place for place in _places(name, folders) if place.is_file()), None)
        if path is None:
            missing.append((row, name))
        else:
            found[name] = path
    if missing:
        row, name = min(missing)
        tried = "".join(f"\n    {place}" for place in _places(name, folders))
        raise InputError(
            f"the image stack {name} is not there"
            + (f", nor are {len(missing) - 1} others" if len(missing) > 1 else ""),
            file=source,
            row=row,
            expected="a file at one of the places tried",
            found=f"none; tried{tried}",
            remedy="root=FOLDER names the folder that the stack names are relative to; CryoSPARC's is the "
            "project's",
        )
    return found


def files_at_hand(names: Iterable[str], source: Path) -> dict[str, Path]:
    """Return the files of some names, looked for as stacks are, as far as they are there.

    Parameters
    ----------
    names : iterable of str
        As the metadata write them.
    source : Path
        The metadata file.
    """
    folders = list(source.absolute().parents)
    places = {name: next(filter(Path.is_file, _places(name, folders)), None) for name in names}
    return {name: path for name, path in places.items() if path is not None}


def _places(name: str, folders: Sequence[Path]) -> list[Path]:
    """Every place where a stack of this name may lie, in order, each once."""
    path = Path(name)
    if path.is_absolute():
        return list(dict.fromkeys([path, *(folder / path.relative_to(path.anchor) for folder in folders)]))
    return list(dict.fromkeys(folder / path for folder in folders))
