"""The recipe of single boxes: each image is recorded by itself, and some have a neighbour at the edge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoalign.embedded.recipe import NEIGHBOUR, Recipe, draw_particles, draw_view, generator
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles


@dataclass(frozen=True, kw_only=True)
class BoxRecipe(Recipe):
    """All that decides an embedded data set whose images were never part of a micrograph.

    Of a neighbour nobody knows where it is: it has no row.

    Parameters
    ----------
    neighbours : float
        Fraction of the raw images in which another particle shows at the edge.
    neighbour_distance : tuple of float
        Least and largest distance of its centre from the box centre, as fractions of the box.
    **others
        Of `cryoalign.embedded.recipe.Recipe`.
    """

    neighbours: float = 0.3
    neighbour_distance: tuple[float, float] = (0.58, 0.72)

    def __post_init__(self) -> None:
        near, far = self.neighbour_distance
        object.__setattr__(self, "neighbour_distance", (float(near), float(far)))
        super().__post_init__()

    def checks(self) -> dict[str, bool]:
        """Return what has to hold, in words, and whether it does."""
        near, far = self.neighbour_distance
        apart = 0 <= self.neighbours <= 1 and 0 <= near <= far
        return super().checks() | {
            "neighbours in 0 to 1 of the images, from a smaller to a larger distance": apart
        }

    def draw(self, source: Path) -> Particles:
        """Draw the particles; see `Recipe.draw`."""
        return draw_particles(source, self)

    def record(
        self, particles: Particles, volume: Tensor, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images by multislice in ice, some with a neighbour; see `Recipe.record`."""
        grid: dict[str, Any] = {"pixel_size": self.sampling, "box": self.box, "envelope": self.envelope}
        parts: dict[str, Any] = {
            "scattering": Multislice(volume, slice_thickness=self.slice_thickness, **grid),
            "detector": self.detector,
            "seed": self.seed,
            "identity": lambda some: some.row,
        }
        noisy, clean = Experiment(solvent=self.ice, **parts), Experiment(**parts)
        neighbour = WeakPhase(volume, **grid)
        for start in range(0, len(particles), batch_size):
            rows = np.arange(start, min(start + batch_size, len(particles)))
            others = self._neighbours(particles, rows, neighbour)
            yield from zip(
                noisy.record(particles, rows, others)[0],
                clean.record(particles, rows, others)[1],
                strict=True,
            )

    def _neighbours(self, particles: Particles, rows: NDArray[np.int64], simulator: WeakPhase) -> Tensor:
        """Simulate what is next to the particles at `rows`: nothing for most."""
        images = torch.zeros(len(rows), self.box, self.box)
        for index, row in enumerate(rows):
            rng = generator(self, NEIGHBOUR, row)
            if rng.random() >= self.neighbours:
                continue
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*self.neighbour_distance)
            x, y = np.rint(distance * self.box * np.array([np.cos(angle), np.sin(angle)])).astype(int)
            other = replace(particles.take([row]), angles=draw_view(rng)[None], shift=np.zeros((1, 2)))
            images[index] = _moved(simulator(other)[0], int(x), int(y))
        return images


def _moved(image: Tensor, x: int, y: int) -> Tensor:
    """Move an image by whole pixels; what leaves the box is lost, what enters is zero."""
    box = len(image)
    moved = torch.zeros_like(image)
    if max(abs(x), abs(y)) < box:
        to_x, to_y = slice(max(x, 0), box + min(x, 0)), slice(max(y, 0), box + min(y, 0))
        from_x, from_y = slice(max(-x, 0), box + min(-x, 0)), slice(max(-y, 0), box + min(-y, 0))
        moved[to_y, to_x] = image[from_y, from_x]
    return moved
