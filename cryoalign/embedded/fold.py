"""A protein-like specimen from a seed: helices joined by loops, packed into domains, without symmetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

# N, CA, C, O and CB of a residue: radius (A), azimuth (degrees) and height (A) about the helix axis, relative
# to CA; the next residue follows by a turn of 100 degrees and a rise of 1.5 A (Pauling, Corey, Branson 1951,
# doi:10.1073/pnas.37.4.205).
_RESIDUE = np.array(
    [(1.5, -28.0, -0.9), (2.3, 0.0, 0.0), (1.7, 27.0, 1.1), (2.0, 20.0, 2.3), (3.3, -20.0, -0.1)]
)
_TURN = 100.0  # degrees a residue
_RISE = 1.5  # A a residue
_REACH = 6.5  # A from the axis to the furthest side-chain atom
_SPACING = 8.5  # A between the axes of packed helices
_LENGTHS = (12.0, 45.0)  # A
_LOOPS = (6.0, 14.0)  # A between the end of a helix and the start of the next
_CANDIDATES = 256
_MISSES = 20  # failed searches after which a domain counts as full


def fold(diameter: float, *, domains: int = 6, seed: int = 0) -> NDArray[np.float64]:
    """Fold a self-avoiding chain of helices and loops into domains.

    Parameters
    ----------
    diameter : float
        Diameter in A of the sphere about the origin that just holds all atoms.
    domains : int
        Number of globular domains.
    seed : int
        Another seed, another fold.

    Returns
    -------
    (n, 3) float64
        Atom positions x, y, z in A.

    Raises
    ------
    ValueError
        If the sphere is too small for a helix, or there is no domain.
    """
    if diameter < 50 or domains < 1:
        raise ValueError(f"a fold needs a diameter of 50 A or more and a domain; got {diameter} A, {domains}")
    rng = np.random.default_rng([seed, 0x5EC1])
    atoms: list[NDArray[np.float64]] = []
    taken = np.empty((0, 3))  # points along the axes of the helices so far
    for centre, radius in zip(*_domains(rng, diameter / 2, domains), strict=True):
        end, joined, misses = centre, False, 0
        while misses < _MISSES:
            helix = _next_helix(rng, end, centre, radius, taken)
            if helix is None:
                misses += 1
                end, joined = centre + _directions(rng, 1)[0] * radius * rng.random(), False
                continue
            start, tip = helix
            if joined:
                atoms.append(_loop(rng, end, start))
            atoms.append(_helix(rng, start, tip))
            points = max(2, round(float(np.linalg.norm(tip - start)) / 2))
            taken = np.concatenate([taken, np.linspace(start, tip, points)])
            end, joined = tip, True
    chain = np.concatenate(atoms)
    chain -= chain.mean(axis=0)
    chain *= diameter / 2 / np.linalg.norm(chain, axis=1).max()
    return chain


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw unit vectors, uniform on the sphere."""
    vectors = rng.standard_normal((count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _domains(
    rng: np.random.Generator, radius: float, count: int
) -> tuple[list[NDArray[np.float64]], list[float]]:
    """Place spheres of unlike size inside a larger one, each close to another and overlapping little."""
    centres: list[NDArray[np.float64]] = []
    radii: list[float] = []
    for _ in range(count):
        size = radius * float(rng.uniform(0.40, 0.55)) if count > 1 else radius
        places = _directions(rng, 256) * (radius - size) * rng.random((256, 1)) ** (1 / 3)
        if centres:
            gaps = np.linalg.norm(places[:, None] - np.array(centres), axis=2) - 0.9 * (
                np.array(radii) + size
            )
            nearest = gaps.min(axis=1)
            best = int(np.argmin(np.where(nearest >= 0, nearest, 2 * radius - nearest)))
        else:
            best = int(np.argmax(np.linalg.norm(places, axis=1)))  # off the centre: no symmetry
        centres.append(places[best])
        radii.append(size)
    return centres, radii


def _next_helix(
    rng: np.random.Generator,
    end: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: float,
    taken: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Find a helix axis near `end`, inside the domain and clear of all others; None if none is free."""
    starts = end + _directions(rng, _CANDIDATES) * rng.uniform(*_LOOPS, (_CANDIDATES, 1))
    lengths = rng.uniform(*_LENGTHS, (_CANDIDATES, 1))
    tips = starts + _directions(rng, _CANDIDATES) * lengths
    along = np.linspace(starts, tips, 16, axis=1)  # (candidates, 16, 3)
    outermost = np.linalg.norm(along - centre, axis=2).max(axis=1)
    free = outermost <= radius - _REACH
    if len(taken):
        free &= np.asarray(cKDTree(taken).query(along)[0]).min(axis=1) >= _SPACING
    if not free.any():
        return None
    best = int(np.argmin(np.where(free, outermost - lengths[:, 0], np.inf)))
    return starts[best], tips[best]


def _helix(
    rng: np.random.Generator, start: NDArray[np.float64], tip: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Build a right-handed alpha helix about an axis, with side chains of random length and direction."""
    axis = (tip - start) / np.linalg.norm(tip - start)
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(axis, across), axis])  # right-handed
    residues = int(np.linalg.norm(tip - start) / _RISE)
    side = rng.integers(0, 5, residues)  # atoms beyond CB
    parts = []
    for number, phase in enumerate(rng.uniform(0, 360) + _TURN * np.arange(residues)):
        beyond = np.zeros((side[number], 3))
        beyond[:, 0] = np.linspace(4.2, _REACH, 4)[: side[number]]
        beyond[:, 1:] = rng.normal(0, (10, 1), (side[number], 2))
        atoms = np.concatenate([_RESIDUE, beyond])
        radius, turn, rise = atoms.T
        azimuth, height = np.radians(turn + phase), rise + _RISE * number
        parts.append(np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=1))
    return np.asarray(start + np.concatenate(parts) @ frame)


def _loop(
    rng: np.random.Generator, start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Build a chain along a bent line, an atom every 1.3 A."""
    bend = (start + end) / 2 + rng.normal(0, 3, 3)
    t = np.linspace(0, 1, max(2, int(np.linalg.norm(end - start) / 1.3)))[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)
