"""A simulated experiment: what scatters, what it lies in, and what records it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from cryoalign.io.identity import identities
from cryoalign.physics.conditions import conditions, multiply_by_ctf
from cryoalign.physics.multislice import interaction_constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.detector import Counting
    from cryoalign.simulate.solvent import Ice

_SOLVENT, _EXPOSURE = range(2)
"""Streams of random numbers, which do not disturb each other."""

_SAMPLES_AT_ONCE = 2**23  # values of a solvent that are held at once: 32 MiB


class Scattering(Protocol):
    """A simulator of clean images: `WeakPhase` or `Multislice`.

    Attributes
    ----------
    linear : bool
        Images scale with the specimen, so that its unit does not matter.
    box : int
        Of the images, in px.
    slice_count, slice_thickness, fine_box, fine_pixel_ratio
        The grid that a solvent is drawn on.
    """

    linear: bool
    box: int
    slice_count: int
    slice_thickness: float
    fine_box: int
    fine_pixel_ratio: float

    def __call__(
        self, particles: Particles, rows: ArrayLike | None = None, *, solvent: Tensor | None = None
    ) -> Tensor:
        """Simulate (B, N, N) images in units of volts times pixels."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Simulate images of particles.

    Random numbers of a particle come from (seed, who it is), whatever its row and the batch.

    Parameters
    ----------
    scattering : Scattering
        What makes the contrast.
    solvent : Ice, optional
        Vacuum if not given.
    detector : Counting, optional
        The contrast itself, noise-free, if not given.
    seed : int
        Of solvent and detector.
    identity : callable
        From N particles to (N,) numbers that say who they are.
    """

    scattering: Scattering
    solvent: Ice | None = None
    detector: Counting | None = None
    seed: int = 0
    identity: Callable[[Particles], NDArray[np.integer]] = identities

    def __call__(
        self, particles: Particles, rows: ArrayLike | None = None, *, neighbours: Tensor | None = None
    ) -> Tensor:
        """Simulate images.

        Parameters
        ----------
        particles : Particles
        rows : array_like of int, optional
            0-based rows to simulate, in this order; all if not given.
        neighbours : (B, N, N) tensor, optional
            Further contrast in the field, in the unit of the scattering.

        Returns
        -------
        (B, N, N) float32 tensor
            Electrons where there is a detector, else the contrast in units of the specimen times the pixel.
        """
        index = np.arange(len(particles)) if rows is None else np.atleast_1d(np.asarray(rows, dtype=np.int64))
        if self.detector is not None:
            return self.record(particles, index, neighbours)[0]
        images = self._scatter(particles, index)
        if neighbours is None:
            return images
        return images + multiply_by_ctf(neighbours, conditions(particles, index, images.device))

    def record(
        self, particles: Particles, index: NDArray[np.int64], neighbours: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Record images with the detector.

        Parameters
        ----------
        particles : Particles
        index : (B,) int64
            0-based rows.
        neighbours : (B, N, N) tensor, optional
            Further contrast in the field, in the unit of the scattering.

        Returns
        -------
        recorded : (B, N, N) float32 tensor
        expected : (B, N, N) float32 tensor
            Without the noise of the detector.

        Raises
        ------
        ValueError
            There is no detector.
        """
        if self.detector is None:
            raise ValueError("there is no detector to record with")
        # What is premultiplied was multiplied after it was recorded.
        groups = tuple(replace(group, premultiplied=False) for group in particles.optics)
        images = self._scatter(replace(particles, optics=groups), index)
        if neighbours is not None:
            images = images + neighbours
        optics = conditions(particles, index, images.device)
        strength = 2 * interaction_constant(optics.voltage) * optics.pixel_size
        generators = self._generators(particles, index, _EXPOSURE)
        recorded, expected = self.detector.expose(
            strength[:, None, None] * images, optics.pixel_size, generators
        )
        return multiply_by_ctf(recorded, optics), multiply_by_ctf(expected, optics)

    def _scatter(self, particles: Particles, index: NDArray[np.int64]) -> Tensor:
        """(B, N, N) clean images, a few at a time where a thick solvent has to be held."""
        if self.solvent is None:
            return self.scattering(particles, index)
        step = max(1, _SAMPLES_AT_ONCE // (self.scattering.slice_count * self.scattering.fine_box**2))
        parts = [index[start : start + step] for start in range(0, len(index), step)]
        return torch.cat(
            [
                self.scattering(particles, part, solvent=self._ice(self.solvent, particles, part))
                for part in parts
            ]
        )

    def _ice(self, solvent: Ice, particles: Particles, index: NDArray[np.int64]) -> Tensor:
        """(B, S, n, n) projected potential of the solvent in V A."""
        scattering = self.scattering
        pixel_sizes = particles.optics_column("pixel_size")[index] * scattering.fine_pixel_ratio
        generators = self._generators(particles, index, _SOLVENT)
        fields = [
            solvent.draw(
                generator,
                scattering.fine_box,
                float(pixel_size),
                count=scattering.slice_count,
                slice_thickness=scattering.slice_thickness,
            )
            for generator, pixel_size in zip(generators, pixel_sizes, strict=True)
        ]
        return torch.stack(fields)

    def _generators(
        self, particles: Particles, index: NDArray[np.int64], stream: int
    ) -> list[np.random.Generator]:
        """Start the random numbers of each row."""
        numbers = self.identity(particles)[index]
        return [np.random.default_rng([self.seed, number, stream]) for number in numbers.tolist()]
