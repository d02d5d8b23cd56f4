"""What else of a micrograph lies in a particle's box: the other particles, each at its own pose and CTF."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cryoalign.errors import InputError
from cryoalign.io.coordinates import box_centres
from cryoalign.population.population import Population

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.weak_phase import WeakPhase

_log = logging.getLogger(__name__)

_FIELD = 2
"""Side in boxes of the field in which a neighbour is simulated, so that its CTF spreads it beyond its box."""
_REPEATED = 2.0  # px of the images; particles whose centres are closer are one, picked or listed twice
_FRACTIONS = 2**20  # of a pixel, so that a particle that stands alike in two boxes is simulated once
_PIXELS_AT_ONCE = 2**22  # of neighbours, whatever the batch


@dataclass(frozen=True)
class Neighbours:
    """Draw what is around particles of their micrographs.

    Attributes
    ----------
    particles : Particles
        All N of them; their images are not premultiplied.
    numbers : (N,) int64
        Of each one's map, 0 for none.
    boxes, centres : (N, 2) float64
        Of each one's box, and of the particle itself, on its micrograph, in A.
    known_as : (N,) int64
        0-based row of the first one that is the same particle.
    tree : scipy.spatial.cKDTree
        Of the centres of `drawn`, micrographs far from each other.
    drawn : (n,) int64
        0-based rows of distinct particles, ascending.
    heights : (N,) float64
        Third coordinate in the tree: that of the micrograph.
    """

    particles: Particles
    numbers: NDArray[np.int64]
    boxes: NDArray[np.float64]
    centres: NDArray[np.float64]
    known_as: NDArray[np.int64]
    tree: cKDTree
    drawn: NDArray[np.int64]
    heights: NDArray[np.float64]

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
            Measured ones, with coordinates and micrographs; new ones are refused.
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
        if isinstance(particles, Population):
            raise InputError(
                "new particles have no coordinates, and so no neighbours",
                found="like=, with neighbours=true",
                remedy="leave neighbours out, or give particles= instead of like=",
            )
        boxes = box_centres(particles, pixel_size)
        centres = boxes - particles.shift  # the content sits at minus the origin
        _, micrographs = np.unique(particles.micrograph, return_inverse=True)
        _refuse_two_scales(particles, micrographs)
        sizes = particles.optics_column("pixel_size")
        heights = micrographs * (_FIELD * box + _REPEATED) * sizes.max()  # more than any of them reaches
        known_as = _known_as(np.column_stack([boxes, heights]), np.column_stack([centres, heights]), sizes)
        numbers = np.ones(len(particles), dtype=np.int64) if classes is None else classes
        drawn = np.flatnonzero((known_as == np.arange(len(particles))) & (numbers > 0))
        tree = cKDTree(np.column_stack([centres, heights])[drawn])
        groups = tuple(replace(group, premultiplied=False) for group in particles.optics)
        recorded = replace(particles, optics=groups)
        return cls(recorded, numbers, boxes, centres, known_as, tree, drawn, heights)

    def report(self, box: int) -> None:
        """Log how many there are, boxes of `box` px overlapping."""
        whole = np.arange(len(self.particles))
        reach = box * self.particles.optics_column("pixel_size")
        counts = self.tree.query_ball_point(self._places(whole), reach, p=np.inf, return_length=True)
        repeated = np.count_nonzero(self.known_as != whole)
        counts = counts - np.isin(self.known_as, self.drawn)  # itself
        _log.info(
            "neighbours: %d of %d boxes overlap with others, %.1f on average",
            np.count_nonzero(counts > 0), len(whole), counts.mean(),
        )  # fmt: skip
        if repeated:
            _log.warning(
                "%s: %d of %d rows are of a particle that another row shows, within %g px; a box gets each "
                "particle once",
                self.particles.source, repeated, len(whole), _REPEATED,
            )  # fmt: skip
        if not counts.any():
            _log.warning("%s: no particle has a neighbour", self.particles.source)

    def images(self, rows: NDArray[np.int64], simulator: Callable[[int], WeakPhase]) -> Tensor:
        """Draw the neighbours of some rows.

        Parameters
        ----------
        rows : (B,) int64
            0-based.
        simulator : callable
            From the number of a map to what simulates it in the box of these rows.

        Returns
        -------
        (B, N, N) float32 tensor
            The sum of the neighbours' images, without the particles themselves, as a microscope records it.
        """
        first = simulator(int(self.numbers[self.drawn[0]]) if len(self.drawn) else 1)
        box, projector = first.box, first.projector
        field = min(_FIELD * box, int(projector.padded / projector.size * box))
        here, others, whole, rest = self._around(rows, (box + field) / 2)
        images = torch.zeros(len(rows), box, box, device=projector.device)
        for number in np.unique(self.numbers[others]).tolist():
            wide = simulator(number).of_box(field)
            mine = np.flatnonzero(self.numbers[others] == number)
            at_once = max(_PIXELS_AT_ONCE // field**2, 1)
            pairs = np.column_stack([others[mine], rest[mine]])
            keys, place = np.unique(pairs, axis=0, return_inverse=True)
            place = place.reshape(-1)
            for start in range(0, len(keys), at_once):
                made = self._simulated(wide, keys[start : start + at_once])
                for pair in np.flatnonzero((place >= start) & (place < start + at_once)).tolist():
                    _paste(images[here[mine[pair]]], made[place[pair] - start], whole[mine[pair]])
        return images

    def _around(
        self, rows: NDArray[np.int64], reach: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Find those within `reach` px along x and y.

        Returns (P,) the place in `rows` and the neighbour's row of each pair, and (P, 2) how far it is from
        the centre of the box: whole pixels, and fractions of a pixel.
        """
        pixel = self.particles.optics_column("pixel_size")[rows]
        found = self.tree.query_ball_point(self._places(rows), reach * pixel, p=np.inf, return_sorted=True)
        here = np.repeat(np.arange(len(rows)), [len(some) for some in found])
        others = self.drawn[np.array([one for some in found for one in some], dtype=np.int64)]
        distinct = self.known_as[rows[here]] != others
        here, others = here[distinct], others[distinct]
        offset = (self.centres[others] - self.boxes[rows[here]]) / pixel[here, None]
        fine = np.rint(offset * _FRACTIONS).astype(np.int64)
        whole = (fine + _FRACTIONS // 2) // _FRACTIONS
        return here, others, whole, fine - whole * _FRACTIONS

    def _places(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B, 3) centres of boxes in the tree's space."""
        return np.column_stack([self.boxes, self.heights])[rows]

    def _simulated(self, simulator: WeakPhase, keys: NDArray[np.int64]) -> Tensor:
        """Simulate (K, 3) rows, each at its fractions of a pixel from the centre."""
        others = self.particles.take(keys[:, 0])
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


def _known_as(
    boxes: NDArray[np.float64], centres: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(N,) the first row of the same particle: cut out at the same place, or centred on it."""
    _, first, place = np.unique(boxes, axis=0, return_index=True, return_inverse=True)
    pairs = cKDTree(centres[first]).query_pairs(_REPEATED * sizes.max(), output_type="ndarray")
    close = np.linalg.norm(centres[first[pairs[:, 0]]] - centres[first[pairs[:, 1]]], axis=1)
    pairs = pairs[close < _REPEATED * sizes[first[pairs[:, 0]]]]
    ones = np.ones(len(pairs), dtype=np.int8)
    joined = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    count, label = connected_components(joined, directed=False)
    of_label = np.full(count, len(boxes))
    np.minimum.at(of_label, label, first)
    known: NDArray[np.int64] = of_label[label][place.reshape(-1)]
    return known


def _refuse_two_scales(particles: Particles, micrographs: NDArray[np.int64]) -> None:
    """Refuse images of one micrograph that differ in their pixel size."""
    sizes = particles.optics_column("pixel_size")
    coarsest = np.zeros(micrographs.max() + 1)
    np.maximum.at(coarsest, micrographs, sizes)
    apart = np.flatnonzero(np.abs(sizes / coarsest[micrographs] - 1) > 1e-4)
    if len(apart):
        row = apart[0]
        raise InputError(
            "images of one micrograph have different pixel sizes, so that they cannot be each other's "
            "neighbours",
            file=particles.source,
            row=int(particles.row[row]),
            expected=f"{coarsest[micrographs[row]]:g} A, as others of {particles.micrograph[row]} have",
            found=f"{sizes[row]:g} A",
            remedy="give the particles of each pixel size in a command of its own",
        )
