"""A training from its configuration to its table: new, or continued in the folder of an interrupted run."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.job import job_folder
from cryoalign.cli.termination import Terminated
from cryoalign.errors import InputError, choice, within
from cryoalign.io.lock import locked
from cryoalign.io.output import place_error
from cryoalign.io.ownership import MARKER
from cryoalign.runs.folder import absolute_paths
from cryoalign.train.build import build_data
from cryoalign.train.fit import Job, fit_and_test
from cryoalign.train.loggers import first_process
from cryoalign.train.naming import tensorboard_folder
from cryoalign.train.resume import interrupted_run
from cryoalign.train.stopping import terminations
from cryoalign.train.trainer import build_callbacks, refuse_decided

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightning.pytorch import Callback

    from cryoalign.runs.folder import Run
    from cryoalign.train.stopping import Termination

_COUNTS = ("trainer.max_steps", "trainer.val_check_interval", "log_every")
_OPTIONAL_COUNTS = ("threads",)
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
    run = None if cfg.resume is None else interrupted_run(cfg)
    if run is not None:
        cfg = run.cfg
    else:
        absolute_paths(cfg)
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
    _claim(folder)
    try:
        with _alone(folder):
            return _fit(cfg, folder, callbacks, run, termination)
    except (
        Exception,
        Terminated,
    ):  # whatever it is, it is raised again; an unusable folder must not look like a run
        if not any(folder.glob("checkpoints/*.ckpt")):  # there is nothing that could be continued
            for place in (tensorboard_folder(folder), folder):
                shutil.rmtree(place, ignore_errors=True)
        raise
    except KeyboardInterrupt:  # during the training Lightning turns it into an exit
        if {path.name for path in folder.iterdir()} <= {MARKER}:  # nothing was done yet
            shutil.rmtree(folder, ignore_errors=True)
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


def _claim(folder: Path) -> None:
    """Make sure that the folder is new, and this run's alone."""
    taken = any(folder.iterdir())
    if not taken:
        try:
            (folder / MARKER).touch(exist_ok=False)
        except FileExistsError:  # another run was faster
            taken = True
    if taken:
        raise InputError(
            "this folder holds something already",
            file=folder,
            expected="a new folder for a new run",
            remedy="leave hydra.run.dir and hydra.sweep.dir out, or name another folder",
        )


def _check(cfg: DictConfig) -> None:
    if cfg.get("trust"):
        raise InputError("trust is for resume=: what a new run names is your own", remedy="leave trust= out")
    for keys, low, high in ((_COUNTS + _OPTIONAL_COUNTS, 1, None), (_SEEDS, 0, 2**32 - 1)):
        for key in keys:
            value = OmegaConf.select(cfg, key)
            if value is None and key in _OPTIONAL_COUNTS:
                continue
            within(key, value, low, high, whole=True)
    refuse_decided(cfg)
    try:
        Timer(cfg.trainer.max_time)
    except (ValueError, MisconfigurationException) as error:
        raise InputError(
            "trainer.max_time is not a time", expected="DD:HH:MM:SS", found=cfg.trainer.max_time
        ) from error
    if cfg.trainer.devices not in (1, [0], "1") and "strategy" not in cfg.trainer:
        raise InputError(
            "several devices need a strategy",
            expected="trainer=ddp beside trainer.devices",
            found=f"trainer.devices={cfg.trainer.devices}",
            remedy=f"give trainer=ddp trainer.devices={cfg.trainer.devices}",
        )
    for key, choices in (("test_checkpoint", ("last", "best")), ("monitor", _MONITORED)):
        choice(key, cfg[key], choices)


def _fit(
    cfg: DictConfig, folder: Path, callbacks: list[Callback], run: Run | None, termination: Termination
) -> float:
    data = build_data(cfg, None if run is None else run.normalization)
    return fit_and_test(Job(cfg, folder, data, callbacks, termination, run))
