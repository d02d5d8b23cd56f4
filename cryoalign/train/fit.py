"""A training once its configuration is known to be good: steps, or a fit in closed form, and the test."""

from __future__ import annotations

import logging
import math
import os
import shlex
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from omegaconf import DictConfig, read_write
from rich.console import Console

from cryoalign.audit.before_training import audit_training
from cryoalign.cli.job import given_words, job_identity
from cryoalign.cli.started import in_submitit
from cryoalign.cli.writing import written
from cryoalign.io.table import print_whole
from cryoalign.refine.load import load_refiner
from cryoalign.runs.folder import describe, read_run
from cryoalign.runs.trust import every_target
from cryoalign.train.build import build_system, load_system
from cryoalign.train.closed_form import fit_run
from cryoalign.train.finite import NotFiniteError
from cryoalign.train.hyperparameters import RESULTS, hyperparameters
from cryoalign.train.log_table import table_file
from cryoalign.train.loggers import build_loggers, finish_loggers, first_process, log_hyperparameters
from cryoalign.train.naming import find_origin, read_origin, tensorboard_folder
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.resume import TakingUp, find_place, restoring, take_up
from cryoalign.train.sample import fit_to_sample
from cryoalign.train.slots import JUDGING
from cryoalign.train.stopping import TIME, Stopped, Stopping
from cryoalign.train.table import metrics_table
from cryoalign.train.test import device_of, run_test
from cryoalign.train.trainer import build_trainer, shows_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning.pytorch import Callback
    from lightning.pytorch.loggers import Logger

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.runs.folder import Run
    from cryoalign.train.resume import Place
    from cryoalign.train.stopping import Termination
    from cryoalign.train.system import PairedGAN

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A training and all that it needs.

    Attributes
    ----------
    cfg : DictConfig
        Of the run.
    folder : Path
        Of the run.
    data : PairedDataModule
        Set up.
    callbacks : list of Callback
    termination : Termination
        What SIGTERM does.
    run : Run, optional
        The run, where it is continued.
    """

    cfg: DictConfig
    folder: Path
    data: PairedDataModule
    callbacks: list[Callback]
    termination: Termination
    run: Run | None = None


@without_known_warnings()
def fit_and_test(job: Job) -> float:
    """Train and test in a run's folder.

    Parameters
    ----------
    job : Job

    Returns
    -------
    float
        The monitored value of the last validation; NaN where time was up before the first.

    Raises
    ------
    InputError
        If the data or the run cannot be used, or numbers are no longer finite.
    Terminated
        Behind a checkpoint, after SIGTERM.
    """
    cfg, folder, data = job.cfg, job.folder, job.data
    pl.seed_everything(cfg.seed, verbose=False)
    system = build_system(cfg, data.box)
    place = None
    if job.run is not None:
        place = find_place(job.run, data, system)
    elif first_process():
        audit_training(cfg.audit, data)
        describe(folder, cfg, data, find_origin(folder).facts())
        _log.info(_summary(folder, data, system))
    loggers = build_loggers(cfg, folder, None if place is None else place.step)
    step, stopped = _trained(job, system, loggers, place)
    if stopped is None and first_process():
        chosen = hyperparameters(cfg, read_origin(folder), data.box)
        log_hyperparameters(loggers, chosen, RESULTS)
        if cfg.test and len(data.rows["test"]):
            with _says_how_to_go_on(folder, lambda: step):
                _test(job, loggers, step)
    finish_loggers(loggers)
    if stopped is not None and stopped.reason != TIME:
        job.termination.exit()
    values = {} if place is None else place.validation
    if system.carried.validation is not None:
        values = system.carried.validation.values
    return values.get(cfg.monitor, math.nan)


def _trained(
    job: Job, system: PairedGAN, loggers: list[Logger], place: Place | None
) -> tuple[int, Stopped | None]:
    """Make the steps that are left; return the last one, and why it was not the last of all."""
    cfg, folder, data = job.cfg, job.folder, job.data
    if job.run is not None and place is not None and place.trained and place.validated:
        take_up(job.run, place)
        return place.step, None
    fit_to_sample(system, data)
    if system.generator.closed_form and not first_process():  # one is enough
        return 0, None
    if system.generator.closed_form:
        return fit_run(cfg, folder, system, data, loggers).global_step, None
    last_step = int(cfg.trainer.max_steps)
    stopping = Stopping(
        job.termination,
        folder / "checkpoints" / "last.ckpt",
        max_steps=last_step,
        validate_every=cfg.trainer.val_check_interval,
        max_time=cfg.trainer.max_time,
    )
    # behind its last step Lightning would not even make up for a validation
    most = last_step if place is None or not place.trained else place.step + 1
    callbacks = [*job.callbacks, stopping]
    if job.run is not None and place is not None:
        callbacks.insert(0, TakingUp(job.run, place))
    trainer = build_trainer(cfg, folder, loggers, callbacks, max_steps=most)
    stopped = None
    with (
        _one_job(folder),
        _says_how_to_go_on(folder, lambda: trainer.global_step),
        _processes(trainer),
    ):
        try:
            with job.termination.waits(), restoring(place, lambda: stopping.begun):
                checkpoint = None if place is None else place.checkpoint
                trainer.fit(system, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except Stopped as stop:
            stopped = stop
    if first_process() and trainer.global_step < last_step:
        why = "" if stopped is None else f": {stopped.reason}; {_to_go_on(folder)}"
        _log.info("stopped     at step %d of %d%s", trainer.global_step, last_step, why)
    return trainer.global_step, stopped


@contextmanager
def _processes(trainer: pl.Trainer) -> Iterator[None]:
    """End the processes that Lightning has started, however the block ends: the test runs on one."""
    try:
        yield
    except NotFiniteError:
        if not first_process():  # every process knows, and the first says it
            raise SystemExit(0) from None
        raise
    except BaseException:
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            launcher.kill(signal.SIGKILL)  # they would wait for this one
            launcher.procs.clear()  # or Lightning would kill this one because they ended so
        raise
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def _one_job(folder: Path) -> Iterator[None]:
    """Let the processes that Lightning starts for DDP run this one job, in this one folder.

    Lightning repeats the command line with ``hydra.run.dir`` behind it; that of a sweep would start the
    sweep again. In a job of submitit's they have to know it as theirs. What Lightning leaves in the
    environment would make the next job of a sweep wait for processes that nobody starts.
    """
    composed = cast("DictConfig", HydraConfig.instance().cfg)
    with read_write(composed.hydra):
        composed.hydra.run.dir = str(folder)
    given, environment, main = sys.argv[1:], dict(os.environ), sys.modules["__main__"]
    sys.argv[1:], spec = given_words(), main.__spec__
    if in_submitit():
        sys.argv.append(f"hydra.job.id='{job_identity()}'")
    if spec is None or not spec.name.startswith("cryoalign"):  # a launcher's process
        main.__spec__ = find_spec("cryoalign.train.__main__")
    try:
        yield
    finally:
        sys.argv[1:], main.__spec__ = given, spec
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def _says_how_to_go_on(folder: Path, step: Callable[[], int]) -> Iterator[None]:
    """Print how to go on after an interrupt, which Lightning turns into an exit."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if not first_process():
            raise
        if (folder / "checkpoints" / "last.ckpt").is_file():
            _log.info("interrupted at step %d; %s", step(), _to_go_on(folder))
        else:
            kept = f"; remove {folder} before, or name another" if table_file(folder).is_file() else ""
            _log.info(
                "interrupted at step %d, before the first checkpoint: nothing to continue, start it again%s",
                step(), kept,
            )  # fmt: skip
        raise


def _to_go_on(folder: Path) -> str:
    return f"to continue: cryoalign train {written('resume', folder)}"


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


def _test(job: Job, loggers: list[Logger], step: int) -> None:
    cfg, folder, data = job.cfg, job.folder, job.data
    run = read_run(folder, JUDGING, trust=every_target(cfg))  # its own words, checked where they came in
    data.trainer = None

    def log(values: dict[str, float]) -> None:
        for logger in loggers:
            logger.log_metrics({f"test/{name}": value for name, value in values.items()}, step=step)

    values = run_test(
        load_system(run, cfg.test_checkpoint),
        load_refiner(run, cfg.test_checkpoint, device_of(cfg.trainer.accelerator)),
        data,
        folder / "test",
        log,
        progress=shows_progress(cfg),
    )
    console = Console(width=100)
    title = f"test set, {len(data.rows['test'])} pairs, step {step}"
    print_whole(console, metrics_table(values, title))
    for line in (
        f"figures      {folder / 'test' / 'panels.png'}",
        f"             {folder / 'test' / 'spectra.png'}",
        f"predictions  {folder / 'test' / 'fake.star'}",
        f"to watch     tensorboard --logdir {shlex.quote(str(tensorboard_folder(folder).parent))}",
        f"to judge     cryoalign evaluate {written('run', folder)} part=held_out",
    ):
        console.print(line, soft_wrap=True, highlight=False)
