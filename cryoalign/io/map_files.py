"""The files of several maps: a list, or all in a folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from cryoalign.errors import InputError

_log = logging.getLogger(__name__)

_MAPS = (".mrc", ".map", ".ccp4")
_PACKED = (".gz", ".bz2")
_DIGITS = re.compile(r"(\d+)")


def map_files(given: object, endings: Sequence[str] = _MAPS) -> list[Path]:
    """Return the files that are meant by a file, a list of them, or a folder.

    Parameters
    ----------
    given : str or Path, or sequence of them
        Of a folder, all files with one of the endings, also packed, in natural order: ``frame_2.mrc`` before
        ``frame_10.mrc``.
    endings : sequence of str
        In lower case.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If there are none, or something else was given.
    """
    if isinstance(given, str | Path):
        return _in_folder(Path(given), endings) if Path(given).is_dir() else [Path(given)]
    if not isinstance(given, Sequence) or not all(isinstance(path, str | Path) and path for path in given):
        raise InputError(
            "volume names no maps",
            expected="a file, several: [A,B], or a folder of them",
            found=given,
            remedy="write volume=map.mrc",
        )
    if not given:
        raise InputError(
            "volume names no maps",
            expected="one map or more",
            found="an empty list",
            remedy="write volume=map.mrc",
        )
    return [Path(path) for path in given]


def _in_folder(folder: Path, endings: Sequence[str]) -> list[Path]:
    files = [path for path in folder.iterdir() if path.is_file() and _is_named(path.name.lower(), endings)]
    if not files:
        raise InputError(
            "there is no map in this folder",
            file=folder,
            expected=f"files that end in {', '.join(endings)}",
            remedy="name the maps themselves: volume=[A,B]",
        )
    files.sort(key=_natural)
    _log.info("%s: %d maps, from %s to %s", folder, len(files), files[0].name, files[-1].name)
    return files


def _is_named(name: str, endings: Sequence[str]) -> bool:
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return name.endswith(tuple(endings)) and not name.startswith(".")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return what sorts numbers in a name by their value; the name itself where values are the same."""
    parts = _DIGITS.split(path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, path.name)]
