"""The metadata of files that jobs made apart: what one process would have written behind the last of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.literal import literal
from cryoalign.errors import InputError
from cryoalign.export.job import export
from cryoalign.io.output import absolute
from cryoalign.io.ownership import MARKER, is_marked, job_of
from cryoalign.io.stack_files import StackFiles, refuse_missing
from cryoalign.io.unfinished import unfinished
from cryoalign.runs.trust import Slot, check_targets
from cryoalign.simulate.job import simulate

if TYPE_CHECKING:
    from collections.abc import Collection

_BUILT = (
    *(Slot(key, object, "cryoalign.simulate") for key in ("specimen", "solvent", "detector", "envelope")),
    Slot("scattering", object, "cryoalign.simulate", partial=True),
    *(Slot(key, object, "cryoalign.population") for key in ("poses", "conditions", "shifts")),
)


class _Job(NamedTuple):
    """What the shards of an output left word of."""

    command: str
    folder: Path
    config: dict[str, object]
    files: list[StackFiles]


def merge(out: Path, *, trust: Collection[str] = (), overwrite: bool = False) -> list[Path]:
    """Write the metadata of an output whose files are all there, and give it its name.

    It is made with the settings of its shards, and what they read is read again: the metadata have the bytes
    that one process would have written.

    Parameters
    ----------
    out : Path
        The output that was given to the shards.
    trust : collection of str
        Full names of classes of one's own that the settings name.
    overwrite : bool
        Replace an output of that name.

    Returns
    -------
    list of Path
        The metadata files.

    Raises
    ------
    InputError
        If there are no shards of it, one of them runs, files are missing, or what they read has changed.
    """
    out = absolute(out)
    job = _read(out)
    refuse_missing(unfinished(out), job.files, out)
    cfg = OmegaConf.create(cast("dict[str, object]", literal(job.config)))
    check_targets(cfg, _BUILT, trust, unfinished(out) / MARKER)
    own: dict[str, object] = {
        "out": str(out),
        "overwrite": overwrite,
        "progress": False,
        "trust": sorted(trust),
    }
    cfg = cast("DictConfig", OmegaConf.merge(cfg, OmegaConf.create(cast("dict[str, object]", literal(own)))))
    try:
        place = contextlib.chdir(job.folder)
        place.__enter__()
    except OSError as error:
        raise InputError(
            "the folder is gone in which the shards were made",
            file=job.folder,
            found=error.strerror,
            remedy="make it again: paths in their settings start there",
        ) from error
    with contextlib.ExitStack() as stack:
        stack.push(place)
        if job.command == "export":
            return export(cfg, merging=True)
        star = simulate(cfg, merging=True)
        return [] if star is None else [star]


def _read(out: Path) -> _Job:
    """Return what the shards said of an output."""
    folder = unfinished(out)
    found = job_of(folder)
    if found is None:
        raise InputError(
            "there is nothing to merge",
            file=out,
            expected=f"what simulate or export made with shards=, in {folder}",
            found=_instead(out, folder),
            remedy="give out= as it was given to the shards, from the same folder",
        )
    try:
        config, files = cast("dict[str, object]", found["config"]), cast("list[list[object]]", found["files"])
        stacks = [StackFiles(str(stem), int(str(count)), int(str(most))) for stem, count, most in files]
        return _Job(str(found["command"]), Path(str(found["folder"])), dict(config), stacks)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "these shards were not made by a command",
            file=folder / MARKER,
            expected="the settings of simulate or export",
            remedy="call simulate_particles without a shard: it goes on, and writes the metadata",
        ) from error


def _instead(out: Path, folder: Path) -> str:
    """Return what is there in place of shards."""
    if folder.exists():
        return "no shards"
    if is_marked(out):
        return "a finished output"
    return "something that cryoalign did not write" if out.exists() else "no such folder"
