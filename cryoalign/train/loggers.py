"""The loggers of a run: built by ``logger`` in the configuration, each from the run folder and the step at
which an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.plugins.hparams.plugin_data_pb2 import (  # type: ignore[import-untyped]
    HParamsPluginData,
)
from torch.utils.tensorboard.summary import hparams

from cryoalign.errors import InputError
from cryoalign.runs.trust import build, entries
from cryoalign.train.log_table import LogTable
from cryoalign.train.naming import read_origin, tensorboard_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from omegaconf import DictConfig

    from cryoalign.train.hyperparameters import Hyperparameters


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
    return [
        build(node, Logger, key, plain=True, folder=folder, begun=begun)  # type: ignore[type-abstract]
        for key, node in entries(cfg, "logger")
    ]


def tensorboard(folder: Path, begun: int | None) -> TensorBoardLogger:
    """Log for TensorBoard; the runs of a sweep share a folder, where each has its name.

    Parameters
    ----------
    folder : Path
        Of the run.
    begun : int, optional
        Step that the run is continued from; TensorBoard hides what was logged after it.
    """
    purge: dict[str, Any] = {} if begun is None else {"purge_step": begun + 1}
    place = tensorboard_folder(folder)
    return _Events(place.parent, name=place.name, version="", default_hp_metric=False, **purge)


class _Events(TensorBoardLogger):
    """Lightning's, which takes a full disk or a folder that is gone for a value that cannot be logged."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values."""
        try:
            super().log_metrics(metrics, step)
        except ValueError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise


def table(folder: Path, begun: int | None) -> CSVLogger:  # noqa: ARG001
    """Log into ``csv/metrics.csv``, behind the rows that are there.

    Parameters
    ----------
    folder : Path
        Of the run.
    begun : int, optional
        Step that the run is continued from.
    """
    return LogTable(folder)


def wandb(folder: Path, begun: int | None, *, project: str, offline: bool) -> WandbLogger:  # noqa: ARG001
    """Log to Weights & Biases; a continued run goes on under its identity there, later rows stay.

    Parameters
    ----------
    folder : Path
        Of the run.
    begun : int, optional
        Step that the run is continued from.
    project : str
        Where the run is listed.
    offline : bool
        Write into the run folder alone, to be sent later with ``wandb sync``.

    Raises
    ------
    InputError
        If the package is not installed.
    """
    if find_spec("wandb") is None:
        raise InputError(
            "Weights & Biases is not installed",
            expected="the package wandb, for logger=wandb",
            remedy="pip install wandb, or leave +logger=wandb out",
        )
    identity = None
    if first_process():  # the others log nothing
        identity = hashlib.sha256((folder / "provenance.json").read_bytes()).hexdigest()[:16]
    return WandbLogger(
        name=read_origin(folder).name or folder.name,
        save_dir=folder,
        project=project,
        offline=offline,
        id=identity,
        resume="allow",
    )


def log_hyperparameters(loggers: list[Logger], chosen: Hyperparameters, results: Sequence[str]) -> None:
    """Log what a user varies.

    Parameters
    ----------
    loggers : list of Logger
    chosen : Hyperparameters
    results : sequence of str
        Names of logged values that TensorBoard's HPARAMS show beside them.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _log_hparams(logger, chosen, results)
        elif not isinstance(logger, CSVLogger):
            logger.log_hyperparams(chosen.values)


def finish_loggers(loggers: list[Logger]) -> None:
    """Write what is left; Weights & Biases would log the next run of a sweep into this one."""
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger) and first_process():
            logger.experiment.finish()


def _log_hparams(logger: TensorBoardLogger, chosen: Hyperparameters, results: Sequence[str]) -> None:
    """Write HPARAMS as Lightning does, but for the mark of what differs: TensorBoard shows it first."""
    experiment, start, end = hparams(chosen.values, dict.fromkeys(results, 0.0))  # type: ignore[no-untyped-call]
    plugin = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in chosen.varied
    plugin.content = content.SerializeToString()
    for summary in (experiment, start, end):
        logger.experiment._get_file_writer().add_summary(summary)
    logger.save()
