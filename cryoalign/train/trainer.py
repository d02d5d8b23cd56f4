"""The Lightning trainer of a run, and its callbacks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.profilers import PassThroughProfiler

from cryoalign.cli.sweep import runs_here
from cryoalign.errors import InputError
from cryoalign.runs.trust import build, entries
from cryoalign.train.checkpoints import WholeCheckpoints
from cryoalign.train.forecast import Forecast

if TYPE_CHECKING:
    from pathlib import Path

    import lightning.pytorch as pl
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

    from cryoalign.train.system import PairedGAN


#: What cryoalign decides for the trainer, and what is given instead.
_DECIDED = {
    "max_epochs": "trainer.max_steps, since the stream of batches is one epoch",
    "check_val_every_n_epoch": "trainer.val_check_interval, in steps",
    "log_every_n_steps": "log_every",
    "num_sanity_val_steps": None,
    "use_distributed_sampler": None,
    "enable_model_summary": None,
    "default_root_dir": "hydra.run.dir",
    "logger": "logger=, or +logger=",
    "callbacks": "+callbacks=",
    "plugins": None,
}


def refuse_decided(cfg: DictConfig) -> None:
    """Refuse arguments of the trainer that would be overruled.

    Raises
    ------
    InputError
        At the first of them.
    """
    for name, instead in _DECIDED.items():
        if name in cfg.trainer:
            raise InputError(
                f"trainer.{name} is decided by cryoalign",
                expected=instead,
                found=cfg.trainer[name],
                remedy="leave it out",
            )


class _Unmeasured(PassThroughProfiler):
    """Measures nothing, as Lightning's own, which makes a context for it a hundred times a step."""

    def __init__(self) -> None:
        super().__init__()
        self._nothing = nullcontext("")

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]  # noqa: ARG002
        """Return a context that does nothing."""
        return self._nothing


class StepBar(TQDMProgressBar):
    """Lightning's bar without epochs, which the stream of batches does not have, and with all batches.

    Lightning takes the steps that are left for the length of a bar on which a continued run begins in the
    middle.
    """

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Begin where the run does or goes on."""
        super().on_train_epoch_start(trainer, *_)
        bar, accumulate = self.train_progress_bar, cast("PairedGAN", trainer.lightning_module).accumulate
        bar.set_description("training")
        bar.total = trainer.max_steps * accumulate
        bar.initial = bar.n = trainer.global_step * accumulate


def shows_progress(cfg: DictConfig) -> bool:
    """Return whether to show a progress bar: not where jobs share a terminal, or write into a log."""
    return bool(cfg.trainer.enable_progress_bar) and runs_here()


def build_callbacks(cfg: DictConfig) -> list[Callback]:
    """Make the callbacks that the configuration asks for, and the progress bar.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.

    Returns
    -------
    list of Callback

    Raises
    ------
    InputError
        If one of them cannot be made with its values.
    """
    callbacks = [build(node, Callback, key, plain=True) for key, node in entries(cfg, "callbacks")]
    callbacks.append(Forecast())
    if shows_progress(cfg):
        callbacks.append(StepBar(refresh_rate=10))
    return callbacks


def build_trainer(
    cfg: DictConfig, folder: Path, loggers: list[Logger], callbacks: list[Callback], *, max_steps: int
) -> pl.Trainer:
    """Make the trainer.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    folder : Path
        Of the run.
    loggers : list of Logger
    callbacks : list of Callback
    max_steps : int
        Steps behind which Lightning does nothing more.

    Returns
    -------
    Trainer
    """
    accumulate = int(cfg.optimizer.accumulate)
    profiler = {} if cfg.trainer.get("profiler") else {"profiler": _Unmeasured()}
    return build(
        cfg.trainer,
        Trainer,
        "trainer",
        plain=True,
        max_steps=max_steps,
        max_epochs=-1,  # the stream of batches is one epoch, ended by max_steps
        max_time=None,  # see cryoalign.train.stopping
        val_check_interval=cfg.trainer.val_check_interval * accumulate,  # Lightning counts batches
        check_val_every_n_epoch=None,
        log_every_n_steps=1,  # the system decides what is logged, and counts steps
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=folder,
        enable_progress_bar=shows_progress(cfg),
        logger=loggers,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        **profiler,
    )
