"""What a run is judged by: fakes of held-out pairs, twice, of training pairs, and of sims that lack a part.

Everything is written as stacks into a working folder, so that the referee reads a run as it reads the stacks
of any other program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import write_particles
from cryoalign.models.generation import generate
from cryoalign.physics.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import Normalization
    from cryoalign.particles import Particles
    from cryoalign.train.system import PairedGAN

    Images = Iterator[NDArray[np.float32]]
    Change = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]

_BATCH = 16
_ORIGINAL = ["rlnImageOriginalName"]


class Refiner:
    """Sims of a run's data in, fakes in grey values out, by its generator or by another.

    Parameters
    ----------
    system : PairedGAN
        Trained.
    data : PairedDataModule
        Set up.
    generator : Module, optional
        In place of the system's own.
    device : str
        Where it runs.
    threads : int
        Of a CPU, each of which refines images of its own.
    progress : bool
        Show progress bars on standard error.
    """

    def __init__(
        self,
        system: PairedGAN,
        data: PairedDataModule,
        *,
        generator: nn.Module | None = None,
        device: str = "cpu",
        threads: int = 1,
        progress: bool = False,
    ) -> None:
        self.system, self.data, self.device, self.progress = system.to(device).eval(), data, device, progress
        self.threads = threads if device == "cpu" else 1
        self.generator = None if generator is None else generator.to(device).eval()

    def fakes(
        self, rows: NDArray[np.int64], *, draw: int = 0, label: str = "fakes", change: Change | None = None
    ) -> Images:
        """Refine sims.

        Parameters
        ----------
        rows : (n,) int64
            Of the run's matched table.
        draw : int
            Which noise of each.
        label : str
            Of the progress bar.
        change : callable, optional
            What is done to the sims of a batch, in the grey values of their stack, before they are refined.

        Yields
        ------
        (B, N, N) float32
            Background-normalized grey values, as of an export.
        """
        parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        batches = ((self._sims(part, change), part) for part in parts)
        done = side_by_side(partial(self._refine, draw), batches, self.threads)
        bar = progress_bar(done, label, shown=self.progress, total=len(parts))
        for fakes in bar:
            yield self._normalization.grey(fakes[:, 0].cpu().numpy())

    @property
    def _normalization(self) -> Normalization:
        if self.data.normalization is None:
            raise ValueError("setup() comes first")
        return self.data.normalization

    def _sims(self, rows: NDArray[np.int64], change: Change | None) -> Tensor:
        """Read (B, 1, N, N) network values."""
        sims = np.stack([self.data.sim_images.image(int(row)) for row in rows])
        if change is not None:
            sims = change(sims, rows)
        return torch.from_numpy(np.stack([self._normalization.sim(image)[0] for image in sims]))[:, None]

    @torch.no_grad()
    def _refine(self, draw: int, batch: tuple[Tensor, NDArray[np.int64]]) -> Tensor:
        sims, rows = batch
        place = torch.from_numpy(self.data.raw.mean_defocus[rows]).float()
        index = torch.from_numpy(rows)
        draws = torch.full_like(index, draw)
        if self.generator is None:
            return self.system.refine(sims.to(self.device), index, draws, place)
        made = generate(
            self.generator,
            sims.to(self.device),
            seed=self.system.seed,
            index=index,
            draw=draws,
            defocus=place,
        )
        return made.float()


@dataclass(frozen=True)
class Bench:
    """The folder in which a run's images are laid out for the referee.

    Attributes
    ----------
    folder : Path
    data : PairedDataModule
        Set up.
    rows : (n,) int64
        Of the matched table: the pairs that are judged.
    prefix : str
        Of the names of the files.
    """

    folder: Path
    data: PairedDataModule
    rows: NDArray[np.int64]
    prefix: str = ""

    def measured(self) -> Path:
        """Write raw, normalized on its background."""
        data = self.data
        if data.normalization is None:
            raise ValueError("setup() comes first")
        normalization = replace(data.normalization, range="none")
        images = (normalization.raw(data.raw_images.image(int(row)))[0][None] for row in self.rows)
        return self.write("raw", images, data.raw)

    def simulated(self) -> Path:
        """Write sim, in the grey values of its stack."""
        data = self.data
        return self.write("sim", self._copied(data.sim_images, self.rows), data.sim)

    def truth(self, images: ParticleImages, rows: NDArray[np.int64]) -> Path:
        """Write the truth, whose images for `self.rows` are at `rows`."""
        return self.write("truth", self._copied(images, rows), self.data.raw)

    def _copied(self, images: ParticleImages, rows: NDArray[np.int64]) -> Images:
        return (images.image(int(row))[None] for row in rows)

    def write(self, kind: str, images: Images, particles: Particles) -> Path:
        """Write a stack with its STAR file, row for row `self.rows`.

        Parameters
        ----------
        kind : str
            Name of the files.
        images : iterator of (B, N, N) float32
        particles : Particles
            The whole table.

        Returns
        -------
        Path
            Of the STAR file.
        """
        data, name = self.data, f"{self.prefix}{kind}"
        count = len(self.rows)
        with StackWriter(self.folder / f"{name}.mrcs", count, data.box, data.pixel_size) as writer:
            for batch in images:
                writer.write(batch)
        numbers = range(1, count + 1)
        table = particles.take(self.rows)
        table = replace(
            table, sign=np.ones(count), table=table.table.drop(columns=_ORIGINAL, errors="ignore")
        )
        original = [f"{number:06d}@{self.prefix}raw.mrcs" for number in numbers]
        write_particles(
            self.folder / f"{name}.star",
            table,
            image_names=[f"{number:06d}@{name}.mrcs" for number in numbers],
            original_names=None if kind == "raw" else original,
            box=data.box,
            pixel_size=data.pixel_size,
        )
        return self.folder / f"{name}.star"
