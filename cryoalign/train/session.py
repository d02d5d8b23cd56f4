"""A training from its configuration to its table: new, or continued in the folder of an interrupted run."""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.job import job_folder
from cryoalign.cli.limits import MOST_THREADS
from cryoalign.errors import InputError, choice, within
from cryoalign.io.lock import locked
from cryoalign.io.output import place_error
from cryoalign.runs.folder import absolute_paths
from cryoalign.train.build import build_data
from cryoalign.train.fit import Job, fit_and_test
from cryoalign.train.log_table import table_file
from cryoalign.train.loggers import first_process
from cryoalign.train.naming import tensorboard_folder
from cryoalign.train.processes import check_started
from cryoalign.train.restart import claim, restarted_run
from cryoalign.train.resume import interrupted_run
from cryoalign.train.stopping import terminations
from cryoalign.train.trainer import build_callbacks, refuse_decided

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightning.pytorch import Callback

    from cryoalign.runs.folder import Run
    from cryoalign.train.stopping import Termination

_COUNTS = ("trainer.max_steps", "trainer.val_check_interval", "trainer.num_nodes", "log_every")
_SEEDS = ("seed", "data.split_seed")
_MONITORED = tuple(f"val/{name}" for name in ("RPSD_L1", "RPSD_MSE", "pixel_L1", "pixel_MSE"))


def train(cfg: DictConfig) -> float:
    """Train, test, and print the table.

    Parameters
    ----------
    cfg : DictConfig
        ``conf/train.yaml`` as composed.

    Returns
    -------
    float
        The monitored value of the last validation.

    Raises
    ------
    InputError
        If the data, the configuration or the run to be continued cannot be used.
    """
    with terminations() as termination:
        return _train(cfg, termination)


def _train(cfg: DictConfig, termination: Termination) -> float:
    if cfg.resume is not None:
        run: Run | None = interrupted_run(cfg)
    else:
        absolute_paths(cfg)
        run = restarted_run(cfg, job_folder())
    if run is not None:
        cfg = run.cfg
    _check(cfg)
    callbacks = build_callbacks(cfg)  # their values are refused before the data are read
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    folder = job_folder() if run is None else run.folder
    if not first_process():
        return _fit(cfg, folder, callbacks, run, termination)
    if run is not None:
        with _alone(folder):
            return _fit(cfg, folder, callbacks, run, termination)
    claim(folder)
    try:
        with _alone(folder):
            return _fit(cfg, folder, callbacks, run, termination)
    except BaseException as error:  # an interrupt too, which Lightning turns into an exit; it is raised again
        # an unusable folder must not look like a run, nor be in the way of the same command given again;
        # what was logged before an interrupt is its user's to look at
        logged = not isinstance(error, Exception) and table_file(folder).is_file()
        if not logged and not any(folder.glob("checkpoints/*.ckpt")):  # nothing could be continued
            for place in (tensorboard_folder(folder), folder):
                shutil.rmtree(place, ignore_errors=True)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process train this run meanwhile; a lock ends with its process."""
    busy = InputError(
        "another process is training this run",
        file=folder,
        expected="one process at a time",
        remedy="wait for its end, or stop it; then give this command again",
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", busy))
        except OSError as error:
            raise place_error(folder, error) from error
        yield


def _check(cfg: DictConfig) -> None:
    if cfg.get("trust"):
        raise InputError("trust is for resume=: what a new run names is your own", remedy="leave trust= out")
    for keys, low, high in ((_COUNTS, 1, None), (_SEEDS, 0, 2**32 - 1)):
        for key in keys:
            within(key, OmegaConf.select(cfg, key), low, high, whole=True)
    if cfg.threads is not None:
        within("threads", cfg.threads, 1, MOST_THREADS, whole=True, remedy="leave threads= out")
    refuse_decided(cfg)
    _check_time(cfg.trainer.max_time)
    within("trainer.limit_val_batches", cfg.trainer.limit_val_batches, above=0)
    _check_devices(cfg.trainer)
    for key, choices in (("test_checkpoint", ("last", "best")), ("monitor", _MONITORED)):
        choice(key, cfg[key], choices)


def _check_devices(trainer: DictConfig) -> None:
    """Refuse no device, several without what makes them work together, and other than were started."""
    if trainer.devices == 0:
        raise InputError(
            "trainer.devices is out of range", expected="1 or more", found=0, remedy="leave it out"
        )
    for name, one in (("devices", (1, [0], "1")), ("num_nodes", (1,))):
        if trainer[name] not in one and "strategy" not in trainer:
            raise InputError(
                f"several {'devices' if name == 'devices' else 'machines'} need a strategy",
                expected=f"trainer=ddp beside trainer.{name}",
                found=f"trainer.{name}={trainer[name]}",
                remedy=f"give trainer=ddp trainer.{name}={trainer[name]}",
            )
    check_started(trainer)


def _check_validation(cfg: DictConfig, pairs: int) -> None:
    """Refuse a part of the validation set that is less than a batch."""
    limit, batches = cfg.trainer.limit_val_batches, math.ceil(pairs / cfg.data.batch_size)
    if batches and isinstance(limit, float) and limit * batches < 1:
        raise InputError(
            "trainer.limit_val_batches leaves nothing to validate",
            expected=f"{1 / batches:.2g} or more: the validation set has {batches} batches",
            found=limit,
            remedy="leave it out for all of them",
        )


def _check_time(limit: object) -> None:
    """Refuse what is no time."""
    try:
        if limit is not None:
            Timer(str(limit) if isinstance(limit, str) else "")
    except (ValueError, MisconfigurationException) as error:
        raise InputError(
            "trainer.max_time is not a time",
            expected="DD:HH:MM:SS",
            found=limit,
            remedy="leave it out, or write e.g. trainer.max_time=00:08:00:00",
        ) from error


def _fit(
    cfg: DictConfig, folder: Path, callbacks: list[Callback], run: Run | None, termination: Termination
) -> float:
    data = build_data(cfg, None if run is None else run.normalization)
    _check_validation(cfg, len(data.rows["validation"]))
    return fit_and_test(Job(cfg, folder, data, callbacks, termination, run))
