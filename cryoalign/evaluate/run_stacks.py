"""The stacks that a run is judged by, each written once, so that it is judged as any program's stacks are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from cryoalign.data.images import ParticleImages
from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from cryoalign.figures.panels import KINDS
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.relion import write_particles
from cryoalign.physics.threads import one_thread_each
from cryoalign.refine.stack import write_stack
from cryoalign.train.closed_form import fit_baseline
from cryoalign.train.test import as_read, background_normalized

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.data.datamodule import PairedDataModule, Part
    from cryoalign.data.normalize import Normalization
    from cryoalign.particles import Particles
    from cryoalign.refine.refiner import Change, Refiner

#: Which noise the fakes of each kind have; those of the part and of the training set have the first.
SECOND_DRAW, EMPTY_DRAW, DOMAIN_DRAW = 1, 2, 3


@dataclass(frozen=True)
class RunStacks:
    """Stacks of a run that is judged, as files.

    Attributes
    ----------
    refiner : Refiner
        Of the run.
    data : PairedDataModule
        Set up.
    part : {"train", "validation", "test", "held_out"}
        What is judged.
    folder : Path
        Where ``fake``, ``raw`` and ``sim`` of the part are already.
    work : Path
        A folder in it for all others.
    seed : int
        Of the choice of images.
    progress : bool
        Show progress bars on standard error.
    """

    refiner: Refiner
    data: PairedDataModule
    part: Part
    folder: Path
    work: Path
    seed: int
    progress: bool

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) rows of the part in the run's matched table."""
        return self.data.rows[self.part]

    def pairs(self) -> dict[str, Path]:
        """Return the STAR files of the part's pairs."""
        return {kind: self.folder / f"{kind}.star" for kind in KINDS}

    def second_draw(self) -> Path:
        """Write fakes of the part with other noise."""
        return self._fakes("second_draw", self.rows, self.refiner, SECOND_DRAW)

    def empty(self, rows: NDArray[np.int64]) -> Path:
        """Write fakes of sims that show nothing."""
        return self._fakes("empty", rows, self.refiner, EMPTY_DRAW, lambda sims, _: 0 * sims)

    def without_domain(self, rows: NDArray[np.int64], removal: Change) -> Path:
        """Write fakes of sims that lack a domain of the specimen."""
        return self._fakes("without_domain", rows, self.refiner, DOMAIN_DRAW, removal)

    def training(self, rows: NDArray[np.int64]) -> dict[str, Path]:
        """Write sims, fakes and raw images of training pairs."""
        if self.part == "train":
            return {kind: self._selected(kind, rows) for kind in KINDS}
        data = self.data
        normalization = cast("Normalization", data.normalization)
        return {
            "fake": self._fakes("train_fake", rows, self.refiner, 0),
            "raw": self._write(
                "train_raw", background_normalized(data.raw_images, rows, normalization), data.raw.take(rows)
            ),
            "sim": self._write("train_sim", as_read(data.sim_images, rows), data.sim.take(rows)),
        }

    def baseline(self, name: str) -> dict[str, Path]:
        """Fit a baseline to the training part and write two draws of its fakes of the part."""
        with one_thread_each():
            generator = fit_baseline(
                name, self.data, seed=self.seed, progress=self.progress, device=self.refiner.device
            )
        refiner = replace(self.refiner, generator=generator)
        fake = self._fakes(f"{name}_fake", self.rows, refiner, 0)
        return self.pairs() | {
            "fake": fake,
            "second_draw": self._fakes(f"{name}_second_draw", self.rows, refiner, SECOND_DRAW),
        }

    def remove_baseline(self, name: str) -> None:
        """Remove the files of a baseline."""
        for path in self.work.glob(f"{name}_*"):
            path.unlink()

    def truth(self, path: Path) -> Path:
        """Write the noise-free images of the part's particles.

        Raises
        ------
        InputError
            If one is missing.
        """
        truth, raw = match_pairs(read_particles(path), self.data.raw)
        place = np.full(len(self.data.raw), -1)
        place[np.searchsorted(self.data.raw.row, raw.row)] = np.arange(len(truth))
        missing = int((place[self.rows] < 0).sum())
        if missing:
            raise InputError(
                f"{missing} of {len(self.rows)} particles have no truth",
                file=path,
                expected="a noise-free image of every particle that is judged",
                found=f"{len(truth)} images",
                remedy="give the truth of the whole part, or leave truth= out",
            )
        images = ParticleImages(truth, locate_stacks(truth), box=self.data.box)
        return self._write("truth", as_read(images, place[self.rows]), self.data.raw.take(self.rows))

    def choose(self, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """Return some of the rows, or all."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, most, replace=False))

    def _fakes(
        self,
        name: str,
        rows: NDArray[np.int64],
        refiner: Refiner,
        draw: int,
        change: Change | None = None,
    ) -> Path:
        images = refiner.refine_images(
            self.data.sim_images,
            rows,
            draw=draw,
            change=change,
            label=name.replace("_", " "),
            progress=self.progress,
        )
        return self._write(name, images, self.data.sim.take(rows))

    def _write(self, name: str, images: Iterable[NDArray[np.float32]], particles: Particles) -> Path:
        star = self.work / f"{name}.star"
        return write_stack(star, images, particles, box=self.data.box, pixel_size=self.data.pixel_size)

    def _selected(self, kind: str, rows: NDArray[np.int64]) -> Path:
        """Name some images of the part's own stacks: they are not made twice."""
        star, places = self.work / f"train_{kind}.star", np.searchsorted(self.rows, rows)
        write_particles(
            star,
            (self.data.raw if kind == "raw" else self.data.sim).take(rows),
            image_names=[f"{place + 1:06d}@{kind}.mrcs" for place in places],
            box=self.data.box,
            pixel_size=self.data.pixel_size,
        )
        return star
