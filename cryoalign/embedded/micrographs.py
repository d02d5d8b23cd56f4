"""The recipe of micrographs: particles at random places of one, and each image cut out around its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.fft import next_fast_len

from cryoalign.embedded.field import IceAlone, add_particles
from cryoalign.embedded.places import LARGEST_COVERAGE, place_apart
from cryoalign.embedded.recipe import (
    PLACES,
    Recipe,
    draw_particles,
    generator,
    mean_defocus,
    micrograph_numbers,
)
from cryoalign.io.coordinates import box_centres
from cryoalign.particles import Particles
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

_FIELD = 2
"""Side in boxes of the field in which a particle is simulated, so that its CTF spreads it beyond its box."""


@dataclass(frozen=True, kw_only=True)
class MicrographRecipe(Recipe):
    """All that decides an embedded data set whose images are cut out of micrographs.

    Every particle of a micrograph has a row with its coordinates, so that all neighbours are known. Ice,
    illumination and electrons belong to the micrograph: boxes that overlap have the same pixels there. The
    truth has neither ice nor electrons, and its illumination is even: it has no ramps.

    Parameters
    ----------
    coverage : float
        Share of the micrographs that the particles' circles cover, 0.01 to 0.4. With 0.2, three other
        particles have their centre less than a box away along x and along y.
    least_distance : float, optional
        Between the centres of two particles in A; by default their diameter, so that none lies on another.
    **others
        Of `cryoalign.embedded.recipe.Recipe`; the gradient of the detector is that over the width of a box.
    """

    coverage: float = 0.2
    least_distance: float | None = None

    def __post_init__(self) -> None:
        if self.least_distance is None:
            object.__setattr__(self, "least_distance", self.diameter)
        super().__post_init__()

    def checks(self) -> dict[str, bool]:
        """Return what has to hold, in words, and whether it does."""
        crowded = self.coverage * (self._apart / self.diameter) ** 2
        return super().checks() | {
            f"a coverage of 0.01 to {LARGEST_COVERAGE:g}": 0.01 <= self.coverage <= LARGEST_COVERAGE,
            "room for particles so far apart": self._apart >= 0 and crowded <= LARGEST_COVERAGE,
        }

    @property
    def places_known(self) -> bool:
        """Whether particles have coordinates on their micrographs."""
        return True

    @property
    def _apart(self) -> float:
        """Least distance in A, never None."""
        return self.diameter if self.least_distance is None else self.least_distance

    @property
    def width(self) -> float:
        """Side in A of the square in which the centres of a micrograph's particles lie."""
        most = math.ceil(self.particles / self.micrographs)
        return math.sqrt(most * math.pi / self.coverage) * self.diameter / 2

    @property
    def side(self) -> int:
        """Side of a micrograph in px: every box lies in it."""
        return 2 * int(next_fast_len(math.ceil(self.width / self.sampling / 2) + self.box // 2 + 1))

    def draw(self, source: Path) -> Particles:
        """Draw the particles; see `Recipe.draw`. Boxes are centred beside them by what they are shifted."""
        particles = draw_particles(source, self)
        centres = np.empty((len(particles), 2))
        numbers = micrograph_numbers(self)
        margin = (self.side * self.sampling - self.width) / 2
        for number in range(self.micrographs):
            rows = np.flatnonzero(numbers == number)
            rng = generator(self, PLACES, number)
            centres[rows] = margin + place_apart(rng, len(rows), self.width, self._apart)
        half = self.box // 2
        picked = np.rint((centres + particles.shift) / self.sampling).clip(half, self.side - half)
        table = pd.DataFrame({"rlnCoordinateX": picked[:, 0], "rlnCoordinateY": picked[:, 1]})
        return replace(particles, shift=picked * self.sampling - centres, table=table)

    def record(
        self, particles: Particles, volume: Tensor, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Record one micrograph after the other, and yield what is cut out; see `Recipe.record`."""
        box, side = self.box, self.side
        alone = Multislice(
            volume, slice_thickness=self.slice_thickness, pixel_size=self.sampling, box=_FIELD * box,
            depth=box * self.sampling, envelope=self.envelope,
        )  # fmt: skip
        # A gradient of so much from the centre of a box to its edge, over the whole width.
        detector = replace(self.detector, gradient=min(self.detector.gradient * side / box, 1.0))
        parts: dict[str, Any] = {
            "scattering": IceAlone(side, self.envelope), "seed": self.seed, "identity": lambda some: some.row
        }  # fmt: skip
        noisy = Experiment(solvent=self.ice, detector=detector, **parts)
        clean = Experiment(detector=replace(detector, gradient=0.0), **parts)
        whole = self._micrographs(particles)
        picked = box_centres(particles, self.sampling)
        centres = (picked - particles.shift) / self.sampling
        numbers = micrograph_numbers(self)
        for number in range(self.micrographs):
            rows, index = np.flatnonzero(numbers == number), np.array([number])
            contrast = torch.zeros(1, side, side)
            for start in range(0, len(rows), batch_size):
                some = rows[start : start + batch_size]
                add_particles(contrast[0], particles.take(some), centres[some], alone)
            recorded = noisy.record(whole, index, contrast)[0][0]
            expected = clean.record(whole, index, contrast)[1][0]
            for x, y in np.rint(picked[rows] / self.sampling).astype(int) - box // 2:
                yield recorded[y : y + box, x : x + box], expected[y : y + box, x : x + box]

    def _micrographs(self, particles: Particles) -> Particles:
        """Return the micrographs as rows, each at its mean defocus."""
        defocus = np.stack([mean_defocus(self, number) for number in range(self.micrographs)])
        return Particles.make(particles.source, particles.optics, self.micrographs, defocus=defocus)
