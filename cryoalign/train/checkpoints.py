"""The checkpoints of a run, in ``RUN/checkpoints``: the last, the best, one every so many steps.

The last is written after the best: it holds which was the best, and a run killed between the two goes on from
the last before.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from cryoalign.errors import within
from cryoalign.runs.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from lightning.fabric.utilities.types import _PATH
    from lightning.pytorch import LightningModule, Trainer


class WholeCheckpoints(TorchCheckpointIO):
    """Write checkpoints beside their place; Lightning's way is by ``TMPDIR``, from where one may be cut."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any = None) -> None:
        """Write one; there are no options."""
        if storage_options is not None:
            raise TypeError("a checkpoint is written without options")
        write_checkpoint(Path(path), checkpoint)


class _RunCheckpoint(ModelCheckpoint):
    """A checkpoint in the run folder, under a name that commands ask for."""

    def __init__(self, filename: str, **options: Any) -> None:
        super().__init__(
            filename=filename, auto_insert_metric_name=False, enable_version_counter=False, **options
        )

    @cached_property
    def state_key(self) -> str:
        """The name of its state; Lightning asks for it at every hook of every step."""
        return super().state_key

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write into the run folder, wherever the loggers write."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the checkpoints of the run, wherever its folder lies by now."""
        folder = Path(str(self.dirpath))
        moved = {**state_dict, "dirpath": self.dirpath}
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[name] = str(folder / Path(moved[name]).name) if moved[name] else ""
        moved["best_k_models"] = {
            str(folder / Path(path).name): score for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict(moved)


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
