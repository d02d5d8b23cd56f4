"""What else lies in a particle's box: the other particles of its micrograph, each at its own pose and CTF."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.population.crowd import Crowd
from cryoalign.population.places import FIELD, REACH, Places
from cryoalign.population.population import Population

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.weak_phase import WeakPhase

_FRACTIONS = 2**20  # of a pixel, so that a particle that stands alike in two boxes is simulated once
_PIXELS_AT_ONCE = 2**22  # of neighbours, whatever the batch


class _Around(NamedTuple):
    """Neighbours of some particles.

    Attributes
    ----------
    here : (P,) int64
        Place of the image that each one lies in among those asked for, ascending.
    particles : Particles
    which : (P,) int64
        0-based row of each one in `particles`, ascending where `here` is the same.
    numbers : (P,) int64
        Of each one's map, from 1.
    offset : (P, 2) float64
        How far it is from the centre of the box along x and y, in px.
    """

    here: NDArray[np.int64]
    particles: Particles
    which: NDArray[np.int64]
    numbers: NDArray[np.int64]
    offset: NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Draw what is around particles.

    Attributes
    ----------
    places : Places
        Of measured particles.
    numbers : (N,) int64
        Of the map of each of them, 0 for none.
    """

    places: Places
    numbers: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        particles: Particles | Population,
        classes: NDArray[np.int64] | None,
        box: int,
        pixel_size: float | None = None,
    ) -> Neighbours:
        """Find out where particles are.

        Parameters
        ----------
        particles : Particles or Population
            Measured ones, with coordinates and micrographs, or new ones like such.
        classes : (N,) int64, optional
            The number of each one's map, 0 for none; 1 if not given.
        box : int
            Side of the largest images, in px.
        pixel_size : float, optional
            Of the micrographs in A; see `cryoalign.io.coordinates.box_centres`.

        Raises
        ------
        InputError
            If it is not known.
        """
        new = isinstance(particles, Population)
        measured = particles.like if isinstance(particles, Population) else particles
        numbers = np.ones(len(measured), dtype=np.int64) if new or classes is None else classes
        return cls(Places.of(measured, box, pixel_size, numbers > 0), numbers)

    def images(
        self,
        particles: Particles | Population,
        rows: NDArray[np.int64],
        simulator: Callable[[int], WeakPhase],
        *,
        box: int,
        device: str,
    ) -> Tensor:
        """Draw the neighbours of some rows.

        Parameters
        ----------
        particles : Particles or Population
            Those that `of` was asked for.
        rows : (B,) int64
            0-based.
        simulator : callable
            From the number of a map to what simulates it in the box of these rows.
        box : int
            Side N of that, in px.
        device : str
            Where to compute, as torch names it.

        Returns
        -------
        (B, N, N) float32 tensor
            The sum of the neighbours' images, without the particles themselves, as a microscope records it.
        """
        here, others, which, numbers, offset = self._around(particles, rows, REACH * box)
        others = replace(others, optics=tuple(replace(group, premultiplied=False) for group in others.optics))
        fine = np.rint(offset * _FRACTIONS).astype(np.int64)
        whole = (fine + _FRACTIONS // 2) // _FRACTIONS
        rest = fine - whole * _FRACTIONS
        images = torch.zeros(len(rows), box, box, device=device)
        for number in np.unique(numbers).tolist():
            one = simulator(number)
            field = min(FIELD * box, int(one.projector.padded / one.projector.size * box))
            wide, at_once = one.of_box(field), max(_PIXELS_AT_ONCE // field**2, 1)
            inside = np.abs(offset).max(axis=1) <= (box + field) / 2
            mine = np.flatnonzero((numbers == number) & inside)
            pairs = np.column_stack([which[mine], rest[mine]])
            keys, place = np.unique(pairs, axis=0, return_inverse=True)
            place = place.reshape(-1)
            for start in range(0, len(keys), at_once):
                made = _simulated(wide, others, keys[start : start + at_once])
                for pair in np.flatnonzero((place >= start) & (place < start + at_once)).tolist():
                    _paste(images[here[mine[pair]]], made[place[pair] - start], whole[mine[pair]])
        return images

    def _around(self, particles: Particles | Population, rows: NDArray[np.int64], reach: float) -> _Around:
        """Find those within `reach` px of (B,) rows along x and y."""
        if isinstance(particles, Population):
            here, numbers, new = Crowd(particles, self.places).around(rows, reach)
            offset = -new.shift / new.optics_column("pixel_size")[:, None]
            return _Around(here, new, np.arange(len(here)), numbers, offset)
        here, others, offset = self.places.near(rows, self.places.boxes[rows], reach)
        return _Around(here, self.places.particles, others, self.numbers[others], offset)


def _simulated(simulator: WeakPhase, particles: Particles, keys: NDArray[np.int64]) -> Tensor:
    """Simulate (K, 3) rows, each at its fractions of a pixel from the centre."""
    others = particles.take(keys[:, 0])
    pixel = others.optics_column("pixel_size")
    return simulator(replace(others, shift=-keys[:, 1:] / _FRACTIONS * pixel[:, None]))


def _paste(image: Tensor, other: Tensor, offset: NDArray[np.int64]) -> None:
    """Add an image to another one, its origin so many pixels x and y from that one's."""
    inside, across = [], []
    for move in offset[::-1].tolist():
        start = image.shape[0] // 2 - other.shape[0] // 2 + move
        low, high = max(start, 0), min(start + other.shape[0], image.shape[0])
        if low >= high:
            return
        inside.append(slice(low, high))
        across.append(slice(low - start, high - start))
    image[tuple(inside)] += other[tuple(across)]
