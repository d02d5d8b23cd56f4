"""A training from its configuration to its table: new, or continued in the folder of an interrupted run."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig, OmegaConf, read_write
from rich.console import Console

from cryoalign.audit.before_training import audit_training
from cryoalign.errors import InputError, choice, within
from cryoalign.io.ownership import MARKER
from cryoalign.refine.load import load_refiner
from cryoalign.runs.checkpoint import find_checkpoint, read_checkpoint
from cryoalign.runs.folder import absolute_paths, describe, read_run
from cryoalign.train.build import build_data, build_system, load_system
from cryoalign.train.closed_form import fit_run
from cryoalign.train.hyperparameters import RESULTS, hyperparameters
from cryoalign.train.loggers import build_loggers, finish_loggers, first_process, log_hyperparameters
from cryoalign.train.naming import find_origin, read_origin, tensorboard_folder
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.resume import check_continued, interrupted_run
from cryoalign.train.sample import fit_to_sample
from cryoalign.train.table import metrics_table
from cryoalign.train.test import device_of, run_test
from cryoalign.train.trainer import build_callbacks, build_trainer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import Callback
    from lightning.pytorch.loggers import Logger

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.runs.folder import Run

_log = logging.getLogger(__name__)
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
    run = None if cfg.resume is None else interrupted_run(cfg.resume)
    if run is not None:
        cfg = run.cfg
    else:
        absolute_paths(cfg)
    _check(cfg)
    callbacks = build_callbacks(cfg)  # their values are refused before the data are read
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    if run is not None:
        return _fit(cfg, run.folder, build_data(cfg, run.normalization), callbacks, run)
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not first_process():
        return _fit(cfg, folder, build_data(cfg), callbacks, None)
    _claim(folder)
    try:
        return _fit(cfg, folder, build_data(cfg), callbacks, None)
    except Exception:  # whatever it is, it is raised again; an unusable folder must not look like a run
        if not any(folder.glob("checkpoints/*.ckpt")):  # there is nothing that could be continued
            for place in (tensorboard_folder(folder), folder):
                shutil.rmtree(place, ignore_errors=True)
        raise
    except KeyboardInterrupt:  # during the training Lightning turns it into an exit
        if {path.name for path in folder.iterdir()} <= {MARKER}:  # nothing was done yet
            shutil.rmtree(folder, ignore_errors=True)
        raise


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
    for keys, low, high in ((_COUNTS + _OPTIONAL_COUNTS, 1, None), (_SEEDS, 0, 2**32 - 1)):
        for key in keys:
            value = OmegaConf.select(cfg, key)
            if value is None and key in _OPTIONAL_COUNTS:
                continue
            within(key, value, low, high, whole=True)
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
    cfg: DictConfig, folder: Path, data: PairedDataModule, callbacks: list[Callback], run: Run | None
) -> float:
    pl.seed_everything(cfg.seed, verbose=False)
    system = build_system(cfg, data.box)
    checkpoint = None
    if run is not None:
        checkpoint = find_checkpoint(folder, "last")
        begun = int(read_checkpoint(checkpoint, cfg)["global_step"])
        check_continued(run, data, begun)
    elif first_process():
        audit_training(cfg.audit, data)
        describe(folder, cfg, data, find_origin(folder).facts())
        _log.info(_summary(folder, data, system))
    fit_to_sample(system, data)
    loggers = build_loggers(cfg, folder, None if checkpoint is None else begun)
    if system.generator.closed_form:
        trainer = fit_run(cfg, folder, system, data, loggers)
    else:
        trainer = build_trainer(cfg, folder, loggers, callbacks)
        with without_known_warnings(), _one_job(folder), _interruptible(folder, trainer):
            trainer.fit(system, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        if trainer.is_global_zero and trainer.global_step < cfg.trainer.max_steps:
            _log.info("stopped     at step %d of %d", trainer.global_step, cfg.trainer.max_steps)
    if trainer.is_global_zero:
        chosen = hyperparameters(cfg, read_origin(folder), data.box)
        log_hyperparameters(loggers, chosen, RESULTS)
    if trainer.world_size > 1:  # the test runs on one process
        torch.distributed.destroy_process_group()
    if trainer.is_global_zero and cfg.test and len(data.rows["test"]):
        _test(cfg, folder, data, loggers, trainer.global_step)
    finish_loggers(loggers)
    return float(trainer.callback_metrics[cfg.monitor])


@contextmanager
def _interruptible(folder: Path, trainer: pl.Trainer) -> Iterator[None]:
    """Print how to go on after an interrupt, which Lightning turns into an exit."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if (folder / "checkpoints" / "last.ckpt").is_file():
            _log.info("interrupted at step %d; to continue: resume=%s", trainer.global_step, folder)
        else:
            _log.info(
                "interrupted at step %d, before the first checkpoint: nothing to continue, start it again",
                trainer.global_step,
            )
        raise


def _summary(folder: Path, data: PairedDataModule, system: pl.LightningModule) -> str:
    sizes = ", ".join(f"{len(rows)} {part}" for part, rows in data.rows.items())
    networks = {"generator": system.generator, "discriminator": system.discriminator}
    counts = ", ".join(
        f"{name} {sum(p.numel() for p in cast('torch.nn.Module', network).parameters()) / 1e6:.2f} M"
        for name, network in networks.items()
        if network is not None
    )
    left_out = f", {len(data.left_out)} left out" if data.left_out else ""
    return (
        f"run         {folder}\n"
        f"pairs       {sizes}{left_out}; {data.box} px at {data.pixel_size:.4g} A/px\n"
        f"parameters  {counts}"
    )


@contextmanager
def _one_job(folder: Path) -> Iterator[None]:
    """Let the processes that Lightning starts for DDP run this one job, in this one folder.

    Lightning repeats the command line with ``hydra.run.dir`` behind it; that of a sweep would start the
    sweep again.
    """
    composed = cast("DictConfig", HydraConfig.instance().cfg)
    with read_write(composed.hydra):
        composed.hydra.run.dir = str(folder)
    given = sys.argv[1:]
    sys.argv[1:] = list(composed.hydra.overrides.task)
    try:
        yield
    finally:
        sys.argv[1:] = given


def _test(cfg: DictConfig, folder: Path, data: PairedDataModule, loggers: list[Logger], step: int) -> None:
    run = read_run(folder)
    data.trainer = None
    values = run_test(
        load_system(run, cfg.test_checkpoint),
        load_refiner(run, cfg.test_checkpoint, device_of(cfg.trainer.accelerator)),
        data,
        folder / "test",
        overwrite=True,
        progress=cfg.trainer.enable_progress_bar,
    )
    for logger in loggers:
        logger.log_metrics({f"test/{name}": value for name, value in values.items()}, step=step)
    console = Console(width=100)
    console.print(metrics_table(values, f"test set, {len(data.rows['test'])} pairs, step {step}"))
    for line in (
        f"figures      {folder / 'test' / 'panels.png'}",
        f"             {folder / 'test' / 'spectra.png'}",
        f"predictions  {folder / 'test' / 'fake.star'}",
        f"to watch     tensorboard --logdir {shlex.quote(str(tensorboard_folder(folder).parent))}",
        f"to judge     cryoalign evaluate {shlex.quote(f'run={folder}')} part=held_out",
    ):
        console.print(line, soft_wrap=True, highlight=False)
