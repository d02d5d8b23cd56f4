"""Bins of defocus that hold about as many particles each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_IN_BIN = 40
_NARROW = 200.0  # A: a smaller range of defocus is not divided


def defocus_bins(defocus: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], tuple[float, ...]]:
    """Divide particles by defocus into bins of like size; a narrow range or few particles give one bin.

    Parameters
    ----------
    defocus : (n,) float64
        In A.
    most : int
        Bins at the most.

    Returns
    -------
    bins : (n,) int64
        0-based.
    edges : tuple of float
        In A, one more than there are bins.
    """
    count = max(min(most, len(defocus) // _FEWEST_IN_BIN), 1)
    low, high = float(defocus.min()), float(defocus.max())
    if high - low < _NARROW:
        count = 1
    edges = np.unique(np.quantile(defocus, np.linspace(0, 1, count + 1)))
    if len(edges) < 3:
        return np.zeros(len(defocus), dtype=np.int64), (low, high)
    bins = np.searchsorted(edges[1:-1], defocus, side="right").astype(np.int64)
    used, bins = np.unique(bins, return_inverse=True)
    return bins.reshape(-1).astype(np.int64), (low, *edges[used[1:]].tolist(), high)
