"""Other raw images of like defocus: their distance from raw is the floor of every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIKE = 500.0  # A: largest difference of defocus to another raw image of like defocus
_NEAR = 64  # neighbours in defocus among which a partner of another group is sought


def partners_of_like_defocus(
    defocus: NDArray[np.float64], group: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Find for each particle two others of like defocus, of other groups where possible, in a random order.

    Sorting by defocus with a random change of half the tolerance brings images of several groups together;
    neighbours in that order are the candidates, so that the cost is that of a sort.

    Parameters
    ----------
    defocus : (n,) float64
        In A.
    group : (n,) int64
    seed : int

    Returns
    -------
    (n, 2) int64
    """
    rng = np.random.default_rng([seed, 1])
    order = np.argsort(defocus + rng.uniform(-_LIKE / 2, _LIKE / 2, len(defocus)))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = np.arange(len(order))
    found = np.full((len(order), 2), -1, dtype=np.int64)
    near = min(_NEAR, len(order) - 1)
    offsets = [sign * step for step in range(1, near + 1) for sign in (1, -1)]
    for elsewhere in (True, False):
        for offset in offsets:
            candidate = order[(place + offset) % len(order)]
            like = np.abs(defocus[candidate] - defocus) <= _LIKE
            allowed = (group[candidate] != group) & like if elsewhere else like
            _fill(found, rows, candidate, allowed)
    for offset in offsets:  # where nothing is alike
        _fill(found, rows, order[(place + offset) % len(order)], np.ones(len(order), dtype=bool))
    swap = rng.random(len(order)) < 0.5
    found[swap] = found[swap][:, ::-1]
    return found


def _fill(
    found: NDArray[np.int64],
    rows: NDArray[np.int64],
    candidate: NDArray[np.int64],
    allowed: NDArray[np.bool_],
) -> None:
    """Enter candidates where a place is free and they are neither the row itself nor its other partner."""
    allowed = allowed & (candidate != rows) & (found[:, 0] != candidate) & (found[:, 1] < 0)
    first = allowed & (found[:, 0] < 0)
    second = allowed & ~first
    found[first, 0] = candidate[first]
    found[second, 1] = candidate[second]
