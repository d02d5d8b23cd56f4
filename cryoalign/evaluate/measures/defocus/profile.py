"""The error of the defocus that several sets of images have in common, from the sum of their profiles.

Where the rings of one set are too faint to be told from noise, those of all sets together need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.evaluate.finding import Interval
from cryoalign.evaluate.resampling import TAILS
from cryoalign.physics.thon_fit import margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WITHIN = 3.84  # deviance that holds 95 %


@dataclass(frozen=True)
class Located:
    """A common relative offset of the defocus.

    Attributes
    ----------
    interval : Interval
        In % of the defocus. It holds both the bootstrap's percentiles and all offsets that the likelihood
        does not exclude.
    margin : float
        Deviance by which any other offset is worse; see `cryoalign.physics.thon_fit.margin`.
    drawn : (draws,) float64
        The offset in each bootstrap replicate, in %; NaN where a replicate is empty.
    """

    interval: Interval
    margin: float
    drawn: NDArray[np.float64]

    @property
    def half(self) -> float:
        """Half the width of the interval, in %."""
        return (self.interval.high - self.interval.low) / 2


def locate(
    relative: NDArray[np.float64], deviance: NDArray[np.float64], weights: NDArray[np.float64]
) -> Located:
    """Find the relative offset that all sets agree on.

    Parameters
    ----------
    relative : (O,) float64
        The grid of offsets as fractions of the defocus, ascending.
    deviance : (S, O) float64
        Profiles of the S sets.
    weights : (draws, S) float64
        How often each set is in each bootstrap replicate.

    Returns
    -------
    Located
    """
    total = deviance.sum(0)
    best = int(total.argmin())
    value, half = _lowest(relative, total[None])
    held = relative[total <= total[best] + _WITHIN]
    drawn = _lowest(relative, weights @ deviance)[0]
    drawn[weights.sum(1) == 0] = np.nan
    low, high = np.nanquantile(drawn, TAILS)
    inner = max(min(low, value[0] - half[0], 100 * held[0]), 100 * relative[0])
    outer = min(max(high, value[0] + half[0], 100 * held[-1]), 100 * relative[-1])
    return Located(Interval(float(value[0]), float(inner), float(outer)), margin(relative, total), drawn)


def _lowest(
    relative: NDArray[np.float64], deviance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) places in % of the least of (n, O) curves, by a parabola, and 95 % on both sides."""
    rows = np.arange(len(deviance))
    best = deviance.argmin(1).clip(1, len(relative) - 2)
    (x0, y0), (x1, y1), (x2, y2) = (
        (100 * relative[best + side], deviance[rows, best + side]) for side in (-1, 0, 1)
    )
    slopes = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = np.maximum((slopes[1] - slopes[0]) / (x2 - x0), 1e-9)
    place = np.clip((x0 + x1) / 2 - slopes[0] / (2 * bend), x0, x2)
    return place, np.sqrt(_WITHIN / bend)


def difference(one: Located, other: Located) -> Interval:
    """Return the difference of two offsets in %, both found in the same replicates.

    Parameters
    ----------
    one, other : Located

    Returns
    -------
    Interval
        At least as wide as what the likelihood leaves.
    """
    value = one.interval.value - other.interval.value
    low, high = np.nanquantile(one.drawn - other.drawn, TAILS)
    return Interval(value, float(min(low, value)), float(max(high, value)))
