"""The checkpoints of a run, in ``RUN/checkpoints``: the last, the best, one every so many steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ModelCheckpoint

from cryoalign.errors import within

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class _RunCheckpoint(ModelCheckpoint):
    """A checkpoint in the run folder, under a name that commands ask for."""

    def __init__(self, filename: str, **options: Any) -> None:
        super().__init__(
            filename=filename, auto_insert_metric_name=False, enable_version_counter=False, **options
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write into the run folder, wherever the loggers write."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)


class LastCheckpoint(_RunCheckpoint):
    """Keep ``last.ckpt``, written after every validation: what an interrupted run is continued from."""

    def __init__(self) -> None:
        super().__init__("last", save_on_train_epoch_end=False)


class BestCheckpoint(_RunCheckpoint):
    """Keep ``best.ckpt``, of the validation with the smallest value.

    Parameters
    ----------
    monitor : str
        Name of the value, e.g. ``val/RPSD_L1``.
    """

    def __init__(self, monitor: str) -> None:
        super().__init__("best", monitor=monitor, save_on_train_epoch_end=False)


class StepCheckpoints(_RunCheckpoint):
    """Keep ``step_NNNNNN.ckpt`` of every so many steps.

    Parameters
    ----------
    every : int, optional
        Steps between two of them; none are kept without it.
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None:
            within("callbacks.step_checkpoints.every", every, 1, whole=True)
        super().__init__("step_{step:06d}", every_n_train_steps=every or 0, save_top_k=-1)
