"""Where on a micrograph particles lie: at random, none too close to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_COVERAGE = 0.4
"""Share of a plane that circles placed one after the other may cover here; there is room for 0.547
(Feder 1980, doi:10.1016/0022-5193(80)90358-6)."""

_TRIALS = 1000  # for each particle; with the largest coverage some 20 are needed for the last one


def place_apart(rng: np.random.Generator, count: int, width: float, apart: float) -> NDArray[np.float64]:
    """Place points one after the other, each anew until it is far enough from those before it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Its next numbers.
    count : int
        How many.
    width : float
        Side of the square.
    apart : float
        Least distance between two points.

    Returns
    -------
    (count, 2) float64
        x and y from 0 to `width`.

    Raises
    ------
    ValueError
        If there is no room.
    """
    places = np.empty((count, 2))
    for number in range(count):
        for _ in range(_TRIALS):
            place = rng.uniform(0, width, 2)
            if not number or np.square(places[:number] - place).sum(axis=1).min() >= apart**2:
                places[number] = place
                break
        else:
            raise ValueError(f"no room for {count} points {apart:g} apart in a square of {width:g}")
    return places
