"""The fixed batch, watched while the networks train: the paper's numbers on it, and both figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from cryoalign.errors import within
from cryoalign.figures.panels import panels
from cryoalign.figures.spectra import spectra
from cryoalign.io.output import atomic_write
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from torch import Tensor

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.data.dataset import Pair
    from cryoalign.physics.spectrum import Norm
    from cryoalign.train.system import PairedGAN


class FixedBatch(Callback):
    """Log the losses on a fixed validation batch, and draw it into ``RUN/figures``, named by step.

    Parameters
    ----------
    every : int
        Steps between two drawings; the last step is always drawn.
    size : int
        Pairs in the batch, spread over the validation set.

    Raises
    ------
    InputError
        If one of them is below 1.
    """

    def __init__(self, *, every: int = 100, size: int = 8) -> None:
        self.every = within("callbacks.figures.every", every, 1, whole=True)
        self.size = within("callbacks.figures.size", size, 1, whole=True)
        self._batch: Pair | None = None
        self._drawn = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the batch, and note whether this step is drawn: step 0 counts as drawn."""
        if not trainer.is_global_zero:
            return
        datamodule = cast("PairedDataModule", trainer.datamodule)  # type: ignore[attr-defined]
        self._batch = move_data_to_device(datamodule.fixed_batch(self.size), pl_module.device)
        step = trainer.global_step
        there = _figure(trainer, "panels").is_file()  # in a run that is continued
        self._drawn = step if step == 0 or there else -1

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Draw every so many steps."""
        step = trainer.global_step
        if step % self.every == 0 or step == trainer.max_steps:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the last step, also where the training ended early."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the current step, once."""
        step = trainer.global_step
        if self._batch is None or step == self._drawn:
            return
        self._drawn = step
        system = cast("PairedGAN", pl_module)
        batch = self._batch
        fake = system.refine(batch["sim"], torch.zeros_like(batch["draw"]), batch["metadata"])
        self._log(system, self._batch, fake)
        datamodule = cast("PairedDataModule", trainer.datamodule)  # type: ignore[attr-defined]
        images = {"sim": self._batch["sim"], "fake": fake, "raw": self._batch["raw"]}
        self._publish(trainer, "panels", draw_panels(images, datamodule.pixel_size, f"step {step}"))
        self._publish(
            trainer,
            "spectra",
            draw_spectra(
                curves(images, system.objective.norm),
                datamodule.box,
                datamodule.pixel_size,
                f"step {step}",
            ),
        )

    @torch.no_grad()
    def _log(self, system: PairedGAN, batch: Pair, fake: Tensor) -> None:
        values: dict[str, Tensor] = {}
        logits = None
        if system.discriminator is not None:
            system.discriminator.eval()
            logits = system.discriminator(batch["sim"], fake)
            on_raw = system.discriminator(batch["sim"], batch["raw"])
            system.discriminator.train()
            values["loss_D"] = system.objective.adversarial.discriminator(on_raw, logits)
        second = system.other_fakes(system.refine, batch, every=True)
        terms = system.objective.terms(fake, batch["raw"], logits, second=second, every=True)
        weighted = {name: term for name, term in terms.items() if system.objective.weights[name] > 0}
        values["loss_G"] = system.objective.total(weighted)
        titles = system.objective.titles
        values |= {titles[name]: term for name, term in terms.items() if titles[name] != "RPSD"}
        norm = system.objective.norm
        fake_curves, raw_curves = radial_log_power(fake, norm), radial_log_power(batch["raw"], norm)
        values["RPSD_L1"] = rpsd_distance(fake_curves, raw_curves, power=1).mean()
        values["RPSD_MSE"] = rpsd_distance(fake_curves, raw_curves, power=2).mean()
        system.publish({f"fixed/{name}": value for name, value in values.items()})

    def _publish(self, trainer: Trainer, name: str, figure: Figure) -> None:
        with atomic_write(_figure(trainer, name)) as path:
            figure.savefig(path, format="png")
        # What was drawn for the file is not drawn again.
        canvas = cast("FigureCanvasAgg", figure.canvas)
        drawn = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, drawn, trainer.global_step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(name, [figure], step=trainer.global_step)


def _figure(trainer: Trainer, name: str) -> Path:
    """Name the file of a figure of the current step."""
    return Path(trainer.default_root_dir) / "figures" / f"{name}_step_{trainer.global_step:06d}.png"


def curves(images: dict[str, Tensor], norm: Norm) -> dict[str, Tensor]:
    """Compute the radial log power spectra that the figures show and the exports hold.

    Parameters
    ----------
    images : dict of (B, 1, N, N)
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform.

    Returns
    -------
    dict of (B, R)
        On the CPU.
    """
    return {kind: radial_log_power(stack, norm).flatten(0, 1).cpu() for kind, stack in images.items()}


def draw_panels(images: dict[str, Tensor], pixel_size: float, title: str) -> Figure:
    """Draw sim, fake and raw of some particles, and their spectra."""
    sim, fake, raw = (images[kind].squeeze(1).cpu().numpy() for kind in ("sim", "fake", "raw"))
    return panels(sim, fake, raw, pixel_size, title=title)


def draw_spectra(tables: dict[str, Tensor], box: int, pixel_size: float, title: str) -> Figure:
    """Draw radial log power spectra with their spread over particles."""
    return spectra({kind: table.numpy() for kind, table in tables.items()}, box, pixel_size, title=title)
