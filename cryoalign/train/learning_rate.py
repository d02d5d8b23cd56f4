"""The learning rates, logged with the training values: Lightning's own monitor counts batches, not steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from lightning.pytorch import Callback

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from cryoalign.train.system import PairedGAN


class LearningRate(Callback):
    """Log ``lr/generator`` and ``lr/discriminator``: what the step just made was made with."""

    def __init__(self) -> None:
        self._used: list[float] = []
        self._logged = -1

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        """Note the rates before the schedule moves on."""
        self._used = [float(optimizer.param_groups[0]["lr"]) for optimizer in trainer.optimizers]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Log once for each step whose training values are logged."""
        system, step = cast("PairedGAN", pl_module), trainer.global_step
        if step in {0, self._logged} or step % system.log_every:
            return
        self._logged = step
        names = ("lr/generator", "lr/discriminator")
        system.publish({name: torch.tensor(rate) for name, rate in zip(names, self._used, strict=False)})
