"""The Lightning trainer of a run: its loggers, its callbacks, its checkpoints."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, cast

from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from cryoalign.train.fixed_batch import FixedBatch
from cryoalign.train.quiet import without_known_warnings

if TYPE_CHECKING:
    from pathlib import Path

    import lightning.pytorch as pl
    from lightning.pytorch import Callback
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig


def first_process() -> bool:
    """Whether this process is the one that writes: the only one, or the first of several."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def build_loggers(cfg: DictConfig, folder: Path, begun: int | None) -> list[Logger]:
    """Make the loggers that the configuration asks for.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    folder : Path
        Of the run.
    begun : int, optional
        Step that an interrupted run is continued from: what was logged after it is dropped.

    Returns
    -------
    list of Logger
    """
    loggers: list[Logger] = []
    if cfg.logger.tensorboard:
        purge: dict[str, Any] = {} if begun is None else {"purge_step": begun + 1}
        loggers.append(
            TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False, **purge)
        )
    if cfg.logger.csv:
        table = folder / "csv" / "metrics.csv"
        kept = _rows_until(table, begun) if begun is not None and table.is_file() and first_process() else []
        logger = CSVLogger(folder, name="csv", version="", flush_logs_every_n_steps=1)
        if kept:
            with without_known_warnings():  # the earlier rows that it says it deletes are the ones just read
                logger.experiment.metrics.extend(cast("Any", kept))
        loggers.append(logger)
    return loggers


def _rows_until(table: Path, step: int) -> list[dict[str, str]]:
    """Read the rows up to the step that the run continues from; later ones will be written again."""
    with table.open(newline="") as file:
        rows = [{key: value for key, value in row.items() if value != ""} for row in csv.DictReader(file)]
    return [row for row in rows if int(float(row["step"])) <= step]


class _StepBar(TQDMProgressBar):
    """Lightning's bar, without the epochs that the stream of batches does not have."""

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: object) -> None:
        super().on_train_epoch_start(trainer, *_)
        self.train_progress_bar.set_description("training")


def _callbacks(cfg: DictConfig, folder: Path) -> list[Callback]:
    where: dict[str, Any] = {
        "dirpath": folder / "checkpoints",
        "auto_insert_metric_name": False,
        "enable_version_counter": False,
    }
    after_validation: dict[str, Any] = {"save_on_train_epoch_end": False, **where}
    callbacks: list[Callback] = [
        FixedBatch(folder / "figures", every=cfg.callbacks.figures_every, size=cfg.callbacks.figures_size),
        ModelCheckpoint(filename="best", monitor=cfg.monitor, **after_validation),
        ModelCheckpoint(filename="last", **after_validation),
    ]
    if cfg.callbacks.checkpoint_every is not None:
        every = cfg.callbacks.checkpoint_every
        callbacks.append(
            ModelCheckpoint(filename="step_{step:06d}", every_n_train_steps=every, save_top_k=-1, **where)
        )
    if cfg.trainer.enable_progress_bar:
        callbacks.append(_StepBar(refresh_rate=10))
    return callbacks


def build_trainer(cfg: DictConfig, folder: Path, loggers: list[Logger]) -> pl.Trainer:
    """Make the trainer.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    folder : Path
        Of the run.
    loggers : list of Logger

    Returns
    -------
    Trainer
    """
    accumulate = int(cfg.optimizer.accumulate)
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        max_epochs=-1,  # the stream of batches is one epoch, ended by max_steps or max_time
        val_check_interval=cfg.trainer.val_check_interval * accumulate,  # Lightning counts batches
        check_val_every_n_epoch=None,
        log_every_n_steps=1,  # the system decides what is logged, and counts steps
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=folder,
        logger=loggers,
        callbacks=_callbacks(cfg, folder),
        _convert_="all",
    )
    return trainer
