"""What a trained generator makes of a part of the split, as files that RELION opens."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from lightning.pytorch import Callback

from cryoalign.data.normalize import PARAMETERS, Normalization, undo
from cryoalign.errors import choice
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.train.fixed_batch import curves, draw_panels, draw_spectra

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import LightningModule, Trainer
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.data.dataset import Pair
    from cryoalign.particles import Particles
    from cryoalign.train.system import PairedGAN

KINDS = ("sim", "fake", "raw")


class Predictions(Callback):
    """Write ``sim``, ``fake`` and ``raw`` as stacks with a STAR file each, their spectra, and both figures.

    Parameters
    ----------
    folder : Path
        An existing folder.
    particles : Particles
        The raw particles, in the order in which the loader gives them.
    normalization : Normalization
        Of the run.
    box : int
    pixel_size : float
        Of the images written, in A.
    scale : {"background", "raw"}
        Grey values with a background of mean 0 and standard deviation 1, or those of the input stacks (a
        fake gets its raw's; an image that was negated on reading is negated back).
    shown : int
        Pairs in the figure.
    sim : Particles, optional
        The simulated particles of the same pairs, if they differ from `particles` in sign or optics: a
        simulation may have left aberrations out, and what is made of its images lacks them too.
    """

    def __init__(
        self,
        folder: Path,
        particles: Particles,
        normalization: Normalization,
        *,
        box: int,
        pixel_size: float,
        scale: Literal["background", "raw"] = "background",
        shown: int = 4,
        sim: Particles | None = None,
    ) -> None:
        choice("scale", scale, ("background", "raw"))
        self.folder, self.particles, self.normalization = folder, particles, normalization
        self.box, self.pixel_size, self.scale, self.shown = box, pixel_size, scale, shown
        sim = particles if sim is None else sim
        self._sign = {"sim": sim.sign, "fake": particles.sign, "raw": particles.sign}
        simulated = replace(particles, optics=sim.optics, optics_index=sim.optics_index)
        self._tables = {"sim": simulated, "fake": simulated, "raw": particles}
        self._files = ExitStack()
        self._writers: dict[str, StackWriter] = {}
        self._curves: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        self._parameters: list[NDArray[np.float64]] = []
        self._first: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}

    def on_test_start(self, *_: object) -> None:
        """Open the stacks."""
        for kind in KINDS:
            writer = StackWriter(self.folder / f"{kind}.mrcs", len(self.particles), self.box, self.pixel_size)
            self._writers[kind] = self._files.enter_context(writer)

    def on_test_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002  Lightning's signature
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        *_: object,
    ) -> None:
        """Write a batch."""
        pair = cast("Pair", batch)
        images = {"sim": pair["sim"], "fake": outputs["fake"], "raw": pair["raw"].float()}
        for kind, table in curves(images, cast("PairedGAN", pl_module).objective.rpsd.norm).items():
            self._curves[kind].append(table)
        wanted = self.shown - sum(len(part) for part in self._first["sim"])
        parameters = {
            "sim": pair["sim_parameters"],
            "fake": pair["raw_parameters"],
            "raw": pair["raw_parameters"],
        }
        self._parameters.append(pair["raw_parameters"].cpu().numpy())
        for kind, stack in images.items():
            if wanted > 0:
                self._first[kind].append(stack[:wanted].cpu())
            writer = self._writers[kind]
            sign = self._sign[kind][writer.written : writer.written + len(stack)]
            writer.write(self._values(stack, parameters[kind], sign))

    def _values(self, stack: Tensor, parameters: Tensor, sign: NDArray[np.float64]) -> NDArray[np.float32]:
        """(B, N, N) in the values to be written."""
        pairs = list(zip(stack.squeeze(1).cpu().numpy(), parameters.cpu().numpy(), sign, strict=True))
        grey = [self.normalization.grey(image, own) for image, own, _ in pairs]
        if self.scale == "raw":
            grey = [undo(image, own) * np.float32(s) for image, (_, own, s) in zip(grey, pairs, strict=True)]
        return np.stack(grey)

    def on_test_end(self, *_: object) -> None:
        """Close the stacks and write what belongs to them."""
        self._files.close()
        for kind in KINDS:
            names = [f"{number:06d}@{kind}.mrcs" for number in range(1, len(self.particles) + 1)]
            write_particles(
                self.folder / f"{kind}.star",
                self._tables[kind],
                image_names=names,
                original_names=self.particles.image_name.tolist(),
                box=self.box,
                pixel_size=self.pixel_size,
                extra={"rlnParticleId": self.particles.row},
            )
        tables = {kind: torch.cat(parts) for kind, parts in self._curves.items()}
        np.savez(self.folder / "rpsd.npz", **{kind: table.numpy() for kind, table in tables.items()})  # type: ignore[arg-type]
        parameters = np.concatenate(self._parameters)
        np.savetxt(
            self.folder / "normalization.csv",
            parameters,
            delimiter=",",
            header=",".join(PARAMETERS),
            comments="",
            fmt="%.9g",
        )
        images = {kind: torch.cat(parts) for kind, parts in self._first.items()}
        draw_panels(images, self.pixel_size, "").savefig(self.folder / "panels.png")
        draw_spectra(tables, self.box, self.pixel_size, "").savefig(self.folder / "spectra.png")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Drop the unfinished stacks."""
        self._files.__exit__(type(exception), exception, exception.__traceback__)
