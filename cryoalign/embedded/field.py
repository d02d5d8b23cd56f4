"""A whole micrograph: the contrast of its particles, the ice about them, and images cut out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.physics.conditions import conditions
from cryoalign.physics.fourier import irfft2, rfft2

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.envelope import Envelope
    from cryoalign.simulate.multislice import Multislice


@dataclass(frozen=True)
class IceAlone:
    """The scattering of a field that holds nothing but ice, which is one layer: a weak phase object.

    Parameters
    ----------
    box : int
        Side of the field in px.
    envelope : Envelope
        What weakens the high frequencies.
    """

    box: int
    envelope: Envelope

    linear = False
    slice_count, slice_thickness, fine_pixel_ratio = 1, math.inf, 1.0

    @property
    def fine_box(self) -> int:
        """Side of the grid that ice is drawn on: the pixels of the field."""
        return self.box

    def __call__(
        self, particles: Particles, rows: ArrayLike | None = None, *, solvent: Tensor | None = None
    ) -> Tensor:
        """Simulate fields, in units of volts times pixels, at the defocus of each row.

        Parameters
        ----------
        particles : Particles
            A row a field.
        rows : array_like of int, optional
            0-based rows to simulate, in this order; all if not given.
        solvent : (B, 1, N, N) tensor, optional
            Projected potential of the ice in V A; vacuum if not given.

        Returns
        -------
        (B, N, N) float32 tensor
        """
        index = np.arange(len(particles)) if rows is None else np.atleast_1d(np.asarray(rows, dtype=np.int64))
        if solvent is None:
            return torch.zeros(len(index), self.box, self.box)
        optics = conditions(particles, index, solvent.device)
        ky, kx = optics.frequencies(self.box)
        transfer = optics.ctf(self.box, None) * self.envelope(
            ky.square() + kx.square(),
            defocus=optics.defocus,
            voltage=optics.voltage,
            spherical_aberration=optics.spherical_aberration,
        )
        return irfft2(transfer * rfft2(solvent[:, 0]) / optics.pixel_size[:, None, None], self.box)


def add_particles(
    field: Tensor, particles: Particles, centres: NDArray[np.float64], simulator: Multislice
) -> None:
    """Add the images of particles to a field.

    Parameters
    ----------
    field : (N, N) tensor
        Changed in place.
    particles : Particles
        Some of one pixel size.
    centres : (B, 2) float64
        x and y of the particles in px from the centre of the first pixel.
    simulator : Multislice
        Of the specimen; its box lies within the field about each centre, or the rest is lost.
    """
    whole = np.rint(centres)
    images = simulator(
        replace(particles, shift=-(centres - whole) * particles.optics_column("pixel_size")[:, None])
    )
    for image, (x, y) in zip(images, whole.astype(int).tolist(), strict=True):
        rows, lines = _overlap(y, len(image), len(field))
        columns, places = _overlap(x, len(image), len(field))
        field[rows, columns] += image[lines, places]


def _overlap(centre: int, box: int, side: int) -> tuple[slice, slice]:
    """Return what a box covers of a field along one axis, and what of the box lies in it."""
    start = centre - box // 2
    low, high = max(start, 0), min(start + box, side)
    return slice(low, high), slice(low - start, high - start)
