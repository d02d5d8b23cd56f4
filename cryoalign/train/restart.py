"""The folder of a new run is its own; a job that submitit starts again, after a preemption, goes on in it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cryoalign.cli.job import job_identity
from cryoalign.cli.started import in_submitit
from cryoalign.errors import InputError
from cryoalign.io.ownership import MARKER
from cryoalign.runs.folder import read_run
from cryoalign.runs.trust import every_target
from cryoalign.train.closed_form import refuse_continuing
from cryoalign.train.naming import tensorboard_folder
from cryoalign.train.slots import CONTINUING

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig

    from cryoalign.runs.folder import Run


def restarted_run(cfg: DictConfig, folder: Path) -> Run | None:
    """Return the run that this job has begun before, None where it begins, or has to begin anew.

    Parameters
    ----------
    cfg : DictConfig
        As composed, the same as before.
    folder : Path
        Of the job.
    """
    if not _was_here(folder) or not any(folder.glob("checkpoints/*.ckpt")):
        return None
    run = read_run(folder, CONTINUING, every_target(cfg))  # its own words, checked where they came in
    try:
        refuse_continuing(run)
    except InputError:
        return None
    return run


def claim(folder: Path) -> None:
    """Make sure that the folder is new, and this run's alone; what this job left there before is removed.

    Raises
    ------
    InputError
        If it holds something else.
    """
    if _was_here(folder):
        for place in (tensorboard_folder(folder), folder):
            shutil.rmtree(place, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    taken = any(folder.iterdir())
    if not taken:
        try:
            with (folder / MARKER).open("x", encoding="utf-8") as file:
                file.write(_identity())
        except FileExistsError:  # another run was faster
            taken = True
    if taken:
        raise InputError(
            "this folder holds something already",
            file=folder,
            expected="a new folder for a new run",
            remedy="leave hydra.run.dir and hydra.sweep.dir out, or name another folder",
        )


def _was_here(folder: Path) -> bool:
    """Return whether this job has begun in the folder before."""
    marker = folder / MARKER
    return in_submitit() and marker.is_file() and marker.read_text(encoding="utf-8") == _identity()


def _identity() -> str:
    """Return what stays the same when submitit queues a job again; nothing for other runs."""
    return f"submitit {job_identity()}" if in_submitit() else ""
