"""From where particles are seen, and at which defocus: counted as they come, never held."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.figures.style import INK, dress, looks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from numpy.typing import NDArray

FEW = 100
"""Of fewer views each is a point."""
COLOURS = "cividis"

_IN_A_CELL = 6  # views, on average
_FEWEST, _MOST = 6, 18  # rings of cells
_EDGES = 5  # points on each side of a cell, which follow its meridians
_STEP = 10.0  # A in which defocus is counted
_BARS = (8, 40)


class ViewBins:
    """Cells of one area on the sphere of viewing directions, nearly square, in rings about z.

    Parameters
    ----------
    rings : int
        From one pole to the other.

    Attributes
    ----------
    cells : (rings,) int64
        In each ring, from -z to z.
    heights : (rings + 1,) float64
        z on the unit sphere where they end: area goes with z.
    """

    def __init__(self, rings: int) -> None:
        latitude = np.pi * ((np.arange(rings) + 0.5) / rings - 0.5)
        self.cells = np.maximum(3, np.round(2 * rings * np.cos(latitude))).astype(np.int64)
        self._first = np.cumsum([0, *self.cells])
        self.heights = 2 * self._first / self._first[-1] - 1

    @classmethod
    def of(cls, counts: list[int]) -> ViewBins:
        """Return cells that hold about six views each of the smallest number that is worth counting."""
        fewest = min((count for count in counts if count >= FEW), default=FEW)
        rings = np.sqrt(np.pi / 4 * fewest / _IN_A_CELL)
        return cls(int(np.clip(round(rings), _FEWEST, _MOST)))

    def __len__(self) -> int:
        return int(self._first[-1])

    def index(self, angles: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return (N,) the cell of each view.

        Parameters
        ----------
        angles : (N, 3) float64
            Rot, tilt and psi in degrees; psi turns the image and not the view.
        """
        longitude, height = directions(angles)
        ring = np.clip(np.searchsorted(self.heights, height, side="right") - 1, 0, len(self.cells) - 1)
        turn = (longitude + np.pi) / (2 * np.pi)
        place = np.floor(turn * self.cells[ring]).astype(np.int64) % self.cells[ring]
        return np.asarray(self._first[ring] + place, dtype=np.int64)

    def ring(self, ring: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return those of the values of all cells that are in one ring."""
        return values[self._first[ring] : self._first[ring + 1]]


def directions(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the direction of the beam in the map's frame: longitude from x towards y in radians, and z.

    That is the third column of `cryoalign.physics.rotation.euler_to_matrix`; its longitude is rot where tilt
    is from 0 to 180 degrees.

    Parameters
    ----------
    angles : (N, 3) float64
        Rot, tilt and psi in degrees.
    """
    rot, tilt = np.deg2rad(angles[:, 0]), np.deg2rad(angles[:, 1])
    return np.arctan2(np.sin(tilt) * np.sin(rot), np.sin(tilt) * np.cos(rot)), np.cos(tilt)


class Conditions:
    """Views and defocus of particles of one kind, counted part by part.

    Parameters
    ----------
    bins : ViewBins
    count : int
        How many particles there will be.

    Attributes
    ----------
    counts : (len(bins),) int64
        Views in each cell.
    views, images : int
        That were counted; images without a particle have no view.
    """

    def __init__(self, bins: ViewBins, count: int) -> None:
        self.bins, self.counts = bins, np.zeros(len(bins), dtype=np.int64)
        self.views = self.images = 0
        self._points: list[NDArray[np.float64]] | None = [] if count < FEW else None
        self._defocus: Counter[int] = Counter()

    def add(
        self, angles: NDArray[np.float64], defocus: NDArray[np.float64], shown: NDArray[np.bool_]
    ) -> None:
        """Count some.

        Parameters
        ----------
        angles : (N, 3) float64
            Rot, tilt and psi in degrees.
        defocus : (N, 3) float64
            U and V in A; the azimuth does not matter.
        shown : (N,) bool
            Which images show a particle.
        """
        self.counts += np.bincount(self.bins.index(angles[shown]), minlength=len(self.bins))
        self.views += int(np.count_nonzero(shown))
        self.images += len(angles)
        if self._points is not None:
            self._points.append(angles[shown])
        steps, counts = np.unique(np.round(defocus[:, :2].mean(axis=1) / _STEP), return_counts=True)
        self._defocus.update(dict(zip(steps.astype(int).tolist(), counts.tolist(), strict=True)))

    @property
    def points(self) -> NDArray[np.float64] | None:
        """(n, 3) the views themselves, where they are few."""
        return None if self._points is None else np.concatenate([np.zeros((0, 3)), *self._points])

    @property
    def density(self) -> NDArray[np.float64]:
        """(len(bins),) views in each cell, as a multiple of what uniform views would have there."""
        return np.asarray(self.counts * (len(self.bins) / max(1, self.views)), dtype=np.float64)

    @property
    def defocus(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values of defocus in micrometre, and the fraction of images that have them."""
        steps = sorted(self._defocus)
        counts = np.array([self._defocus[step] for step in steps], dtype=np.float64)
        return np.array(steps) * _STEP / 1e4, counts / max(1, self.images)


def draw_views(axes: Axes, kind: str, found: Conditions, highest: float) -> QuadMesh | None:
    """Draw views on Mollweide's projection, in which equal areas stay equal.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With ``projection="mollweide"``. The middle is x, up is z.
    kind : str
        ``sim``, ``fake`` or ``raw``, for the colour of points.
    found : Conditions
    highest : float
        End of the colour scale, of the density.

    Returns
    -------
    QuadMesh or None
        For a colour bar; None where views are points.
    """
    axes.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]), [])
    axes.set_yticks(np.deg2rad([-60, -30, 0, 30, 60]), [])
    axes.grid(visible=True, color="#bbbbbb", linewidth=0.4, alpha=0.6)
    axes.spines[:].set_color("#888888")
    if found.points is not None:
        longitude, height = directions(found.points)
        axes.scatter(longitude, np.arcsin(height), s=14, color=looks([kind])[kind][0], zorder=3, linewidth=0)
        return None
    mesh = None
    bins, density = found.bins, found.density
    for ring, cells in enumerate(bins.cells.tolist()):
        longitude = np.linspace(-np.pi, np.pi, cells + 1)
        low, high = np.arcsin(bins.heights[[ring, ring + 1]]).tolist()
        latitude = np.linspace(low, high, _EDGES)
        values = np.tile(bins.ring(ring, density), (_EDGES - 1, 1))
        mesh = axes.pcolormesh(longitude, latitude, values, cmap=COLOURS, vmin=0.0, vmax=highest)
    return mesh


def draw_defocus(axes: Axes, kinds: Mapping[str, Conditions]) -> None:
    """Draw the distribution of defocus of each kind, all in the same bars.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    kinds : mapping of str to Conditions
        By ``sim``, ``fake`` or ``raw``.
    """
    found = {kind: conditions.defocus for kind, conditions in kinds.items() if conditions.images}
    values = np.concatenate([values for values, _ in found.values()])
    low, high = values.min(), values.max()
    room = max(0.04 * (high - low), 0.02)
    count = min(conditions.images for conditions in kinds.values() if conditions.images)
    edges = np.linspace(low - room, high + room, int(np.clip(np.sqrt(count), *_BARS)) + 1)
    look = looks(kinds)
    for kind, (values, share) in found.items():
        colour, style, width = look[kind]
        bars, _ = np.histogram(values, edges, weights=100 * share)
        axes.stairs(
            bars, edges, color=colour, linestyle=style, linewidth=width, zorder=5 - width,
            label=f"{kind} (n = {kinds[kind].images})",
        )  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("defocus (µm), mean of U and V", fontsize=9, color=INK)
    axes.set_ylabel("images (%)", fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    dress(axes)
