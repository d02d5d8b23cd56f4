"""Where measured particles lie on their micrographs, and who is near."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cryoalign.errors import InputError
from cryoalign.io.coordinates import box_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

FIELD = 2
"""Side in boxes of the field in which a neighbour is simulated, so that its CTF spreads it beyond its box."""
REACH = (1 + FIELD) / 2
"""How far along x and y, in boxes, a neighbour may be from the centre of a box that its field reaches."""
_REPEATED = 2.0  # px of the images; particles whose centres are closer are one, picked or listed twice


class Near(NamedTuple):
    """Particles near others, in pairs.

    Attributes
    ----------
    here : (P,) int64
        Place of the others among those asked for, ascending.
    others : (P,) int64
        0-based row of the particle that is near; ascending where `here` is the same.
    offset : (P, 2) float64
        How far it is from the centre of the box along x and y, in px.
    """

    here: NDArray[np.int64]
    others: NDArray[np.int64]
    offset: NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Find particles near others.

    Attributes
    ----------
    particles : Particles
        All N of them.
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
    boxes: NDArray[np.float64]
    centres: NDArray[np.float64]
    known_as: NDArray[np.int64]
    tree: cKDTree
    drawn: NDArray[np.int64]
    heights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        particles: Particles,
        box: int,
        pixel_size: float | None = None,
        shown: NDArray[np.bool_] | None = None,
    ) -> Places:
        """Find out where particles are.

        Parameters
        ----------
        particles : Particles
            With coordinates and micrographs.
        box : int
            Side of the largest images, in px.
        pixel_size : float, optional
            Of the micrographs in A; see `cryoalign.io.coordinates.box_centres`.
        shown : (N,) bool, optional
            Which of the images show a particle; all if not given.

        Raises
        ------
        InputError
            If it is not known.
        """
        boxes = box_centres(particles, pixel_size)
        centres = boxes - particles.shift  # the content sits at minus the origin
        _, micrographs = np.unique(particles.micrograph, return_inverse=True)
        _refuse_two_scales(particles, micrographs)
        sizes = particles.optics_column("pixel_size")
        heights = micrographs * (FIELD * box + _REPEATED) * sizes.max()  # more than any of them reaches
        known_as = _known_as(np.column_stack([boxes, heights]), np.column_stack([centres, heights]), sizes)
        distinct = known_as == np.arange(len(particles))
        drawn = np.flatnonzero(distinct if shown is None else distinct & shown)
        tree = cKDTree(np.column_stack([centres, heights])[drawn])
        return cls(particles, boxes, centres, known_as, tree, drawn, heights)

    def report(self, box: int) -> None:
        """Log how many there are, boxes of `box` px overlapping."""
        whole = np.arange(len(self.particles))
        reach = box * self.particles.optics_column("pixel_size")
        counts = self.tree.query_ball_point(
            self._in_tree(whole, self.boxes), reach, p=np.inf, return_length=True
        )
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

    def near(
        self, rows: NDArray[np.int64], boxes: NDArray[np.float64], reach: float | NDArray[np.float64]
    ) -> Near:
        """Find those near some particles, which are not near themselves.

        Parameters
        ----------
        rows : (B,) int64
            0-based.
        boxes : (B, 2) float64
            Centre of each one's box on its micrograph, in A.
        reach : float or (B,) float64
            How far along x and y, in px.
        """
        pixel = self.particles.optics_column("pixel_size")[rows]
        places = self._in_tree(rows, boxes)
        found = self.tree.query_ball_point(places, reach * pixel, p=np.inf, return_sorted=True)
        here = np.repeat(np.arange(len(rows)), [len(some) for some in found])
        others = self.drawn[np.array([one for some in found for one in some], dtype=np.int64)]
        distinct = self.known_as[rows[here]] != others
        here, others = here[distinct], others[distinct]
        return Near(here, others, (self.centres[others] - boxes[here]) / pixel[here, None])

    def _in_tree(self, rows: NDArray[np.int64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, 3) centres of boxes on the micrographs of some rows, in the tree's space."""
        return np.column_stack([boxes, self.heights[rows]])


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
