"""An interrupted run goes on: with its own configuration, data and checkpoint, and new limits."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from omegaconf import OmegaConf

from cryoalign.cli.job import given_words
from cryoalign.cli.started import in_submitit
from cryoalign.errors import InputError
from cryoalign.io.output import atomic_write, clear_parts
from cryoalign.reading import first_line
from cryoalign.runs.checkpoint import find_checkpoint, read_checkpoint
from cryoalign.runs.folder import check_same_data, read_run
from cryoalign.runs.trust import trusted_names
from cryoalign.train.build import load_weights
from cryoalign.train.closed_form import refuse_continuing
from cryoalign.train.log_table import check_table, cut_behind
from cryoalign.train.loggers import first_process
from cryoalign.train.naming import tensorboard_folder
from cryoalign.train.slots import CONTINUING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from omegaconf import DictConfig

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.runs.folder import Run
    from cryoalign.train.system import PairedGAN

_log = logging.getLogger(__name__)
#: Folders of a run that a training writes single files into.
_WRITTEN = ("checkpoints", "csv", "figures", "test")
#: What may differ when a run is continued: its limits.
_LIMITS = ("trainer.max_steps", "trainer.max_time")


@dataclass(frozen=True)
class Place:
    """Where a run is continued.

    Attributes
    ----------
    checkpoint : Path
    step : int
        Of the checkpoint.
    validation : dict of str to float
        Values of the last validation; empty before the first.
    validated : bool
        Whether that was after this step.
    trained : bool
        Whether no step is left to be made: the test alone is missing, and perhaps a validation.
    """

    checkpoint: Path
    step: int
    validation: dict[str, float]
    validated: bool
    trained: bool


def interrupted_run(composed: DictConfig) -> Run:
    """Read the run to be continued, with the limits that were given anew.

    Parameters
    ----------
    composed : DictConfig
        As the command line asks for: ``resume``, ``trust``, and limits.

    Raises
    ------
    InputError
        If it cannot be continued, names what is neither known nor trusted, or anything but its limits was
        given.
    """
    given = [override for override in given_words() if not override.startswith(("resume=", "trust="))]
    run = read_run(composed.resume, CONTINUING, trusted_names(composed.trust))
    _refuse_links(run.folder)
    _refuse_files(run.folder)
    refuse_continuing(run)
    for override in given:
        key = override.lstrip("+").partition("=")[0]
        if key not in _LIMITS:
            raise InputError(
                f"{key} cannot change when a run is continued",
                file=run.folder,
                expected=" or ".join(_LIMITS),
                found=override,
                remedy="leave it out, or start a new run",
            )
        OmegaConf.update(run.cfg, key, OmegaConf.select(composed, key))
    return run


def find_place(run: Run, data: PairedDataModule, system: PairedGAN) -> Place:
    """Find where a run goes on; nothing is changed in its folder yet.

    Parameters
    ----------
    run : Run
    data : PairedDataModule
        Set up.
    system : PairedGAN
        What is going to be trained: it gets the weights of the checkpoint.

    Raises
    ------
    InputError
        If the data are others, there is no checkpoint, or one of other networks, the table of logged values
        cannot be read, or nothing is left to do.
    """
    check_same_data(run, data)
    checkpoint, content = _newest(run.folder, run.cfg)
    step, ours = int(content["global_step"]), content["cryoalign"]
    validation = ours.get("validation") or {"step": -1, "values": {}}
    validated = bool(validation["step"] == step)
    testable = bool(run.cfg.test) and len(data.rows["test"]) > 0
    untested = testable and not _is_tested(run.folder, checkpoint)
    at_end = step >= run.cfg.trainer.max_steps
    again = in_submitit()  # a job may have been taken away between its test and its end
    if at_end and validated and not untested and not again:
        raise InputError(
            "this run has reached its last step",
            file=run.folder,
            expected=f"trainer.max_steps above {step}",
            found=run.cfg.trainer.max_steps,
            remedy=f"give a higher limit, e.g. trainer.max_steps={2 * step}",
        )
    load_weights(system, content, checkpoint, trains=True)
    check_table(run.folder)
    trained = at_end or (bool(ours.get("ended_early")) and untested)
    return Place(checkpoint, step, validation["values"], validated, trained)


def take_up(run: Run, place: Place) -> None:
    """Let a run go on in its folder: store its configuration with the new limits, and cut its log.

    Parameters
    ----------
    run : Run
    place : Place
    """
    if not first_process():
        return
    for folder in (run.folder, *(run.folder / name for name in _WRITTEN)):
        clear_parts(folder)
    cut_behind(run.folder, place.step, validated=place.validated)
    with atomic_write(run.folder / "config.yaml") as path:
        OmegaConf.save(run.cfg, path, resolve=True)
    rest = " with its test" if place.trained and place.validated else ""
    _log.info("continuing %s at step %d%s", run.folder, place.step, rest)


class TakingUp(Callback):
    """Let a run go on once all of it is restored: what is refused before leaves the run as it was.

    Parameters
    ----------
    run : Run
    place : Place
    """

    def __init__(self, run: Run, place: Place) -> None:
        self.run, self.place = run, place

    def on_train_start(self, *_: object) -> None:
        """Let it go on; see `take_up`."""
        take_up(self.run, self.place)


@contextmanager
def restoring(place: Place | None, begun: Callable[[], bool]) -> Iterator[None]:
    """Refuse a checkpoint from which Lightning cannot restore the training.

    Parameters
    ----------
    place : Place, optional
        Where a run goes on; None in a new one, of which nothing is refused.
    begun : callable
        Whether all is restored: what is raised later has other causes.

    Raises
    ------
    InputError
        Naming the checkpoint.
    """
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        if place is None or begun():
            raise
        raise InputError(
            "a training cannot be continued from this checkpoint",
            file=place.checkpoint,
            expected="what the training wrote",
            found=f"{type(error).__name__}: {first_line(error)}",
            remedy="put the file back as it was, or choose an earlier one by moving this one away",
        ) from error


def _newest(folder: Path, cfg: DictConfig) -> tuple[Path, dict[str, Any]]:
    """Return the checkpoint of the latest step, and its content.

    That is ``last.ckpt``, but of a run killed before there was one, or between two of them.
    """
    last, best = (folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    steps = {
        int(found[1]): path
        for path in last.parent.glob("step_*.ckpt")
        if (found := re.fullmatch(r"step_(\d+)\.ckpt", path.name))
    }
    path = last if last.is_file() or not best.is_file() else best
    if not path.is_file() and steps:
        path = steps[max(steps)]
    content = read_checkpoint(path if path.is_file() else find_checkpoint(folder, "last"), cfg)
    if steps and max(steps) > int(content["global_step"]):
        path = steps[max(steps)]
        content = read_checkpoint(path, cfg)
    return path, content


def _is_tested(folder: Path, checkpoint: Path) -> bool:
    """Return whether the test came after the checkpoint."""
    tested = folder / "test" / "metrics.json"
    return tested.is_file() and tested.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns


def _refuse_files(folder: Path) -> None:
    """Refuse a file where a continued run writes into a folder."""
    for place in (tensorboard_folder(folder), *(folder / name for name in _WRITTEN)):
        if place.exists() and not place.is_dir():
            raise InputError(
                "a file stands where a continued run needs a folder",
                file=place,
                remedy="move it away",
            )


def _refuse_links(folder: Path) -> None:
    """Refuse what leads out of the places that a continued run writes into: it would be written there."""
    for place, around in ((folder, folder), (tensorboard_folder(folder), folder.parent)):
        for path in (place, *place.rglob("*")):
            if not path.resolve().is_relative_to(around.resolve()):
                raise InputError(
                    "this leads out of the run's folder, and a continued run would write there",
                    file=path,
                    expected="files of the run alone",
                    found=f"a link to {path.resolve()}",
                    remedy="put what it leads to in its place",
                )
