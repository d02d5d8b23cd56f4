"""The bootstrap over groups: every interval of the referee comes from here.

Groups (micrographs) are dealt out whole to at most 64 *units*, and units are drawn with replacement. What a
measure adds up is kept by unit, so that memory does not grow with the images, and any statistic of sums gets
its interval without a second look at an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.evaluate.finding import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

MOST_UNITS = 64
FEWEST_GROUPS = 8
"""With fewer groups a spread over groups means nothing, and images are resampled instead."""

TAILS = (0.025, 0.975)
"""Quantiles of the replicates at which a 95 % interval ends."""

_NUMBERS_AT_ONCE = 2**22  # of the replicates of one sum: whole planes of large boxes come in parts


def deal_units(group: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], bool]:
    """Deal groups out to resampling units of like size.

    Parameters
    ----------
    group : (n,) int64
        Number of the group of each image.
    seed : int
        Of the order.

    Returns
    -------
    units : (n,) int64
        0-based, without gaps.
    whole : bool
        Whether units are unions of whole groups; with fewer than eight groups they are sets of images, and
        intervals leave out how groups differ.
    """
    names, index, sizes = np.unique(group, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    whole = len(names) >= FEWEST_GROUPS
    if not whole:
        index, sizes = np.arange(len(group)), np.ones(len(group), dtype=np.int64)
    count = min(MOST_UNITS, len(sizes))
    # The largest group goes to the unit with the fewest images, equals in an order drawn by the seed.
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    unit, load = np.zeros(len(sizes), dtype=np.int64), np.zeros(count, dtype=np.int64)
    for place in order:
        unit[place] = np.argmin(load)
        load[unit[place]] += sizes[place]
    return unit[index.reshape(-1)], whole


class Resampling:
    """Bootstrap replicates over units, the same for every measure.

    Parameters
    ----------
    units : int
        How many there are.
    draws : int
        Replicates.
    seed : int

    Attributes
    ----------
    units : int
    weights : (draws, units) float64 tensor
        How often each unit was drawn; each row sums to `units`.
    """

    def __init__(self, units: int, draws: int = 1000, seed: int = 0) -> None:
        self.units = units
        counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), draws)
        self.weights = torch.from_numpy(counts.astype(np.float64))

    def of(self, statistic: Callable[..., Tensor], *sums: Tensor) -> Interval:
        """Return a statistic of sums and its interval.

        Parameters
        ----------
        statistic : callable
            Takes the totals, each with a leading axis of replicates, (b, ...), and gives (b,), each from its
            own totals: large ones come in parts.
        *sums : (units, ...) tensor
            What was added up in each unit.

        Returns
        -------
        Interval
            NaN throughout where the statistic of the whole is not finite; without low and high where there
            is only one unit.
        """
        tables = [values.double() for values in sums]
        value = float(statistic(*(table.sum(0, keepdim=True) for table in tables))[0])
        if not np.isfinite(value) or self.units < 2:
            return Interval(value, float("nan"), float("nan"))
        at_once = max(_NUMBERS_AT_ONCE // max(table[0].numel() for table in tables), 1)
        drawn = [
            statistic(*(torch.tensordot(weights, table, dims=1) for table in tables))
            for weights in torch.split(self.weights, at_once)
        ]
        return _interval(value, torch.cat(drawn))

    def of_mean(self, values: ArrayLike, units: NDArray[np.int64]) -> Interval:
        """Return the mean of values and its interval.

        Parameters
        ----------
        values : (n,) array_like
        units : (n,) int64
            Unit of each value.

        Returns
        -------
        Interval
        """
        array = np.asarray(values, dtype=np.float64)
        sums, counts = (
            torch.from_numpy(np.bincount(units, weights, minlength=self.units).astype(np.float64))
            for weights in (array, None)
        )
        return self.of(lambda total, count: total / count, sums, counts)

    def of_median(self, values: ArrayLike, units: NDArray[np.int64]) -> Interval:
        """Return the median of values and its interval.

        Parameters
        ----------
        values : (n,) array_like
        units : (n,) int64
            Unit of each value.

        Returns
        -------
        Interval
        """
        array = np.asarray(values, dtype=np.float64)
        if not len(array):
            return Interval(float("nan"), float("nan"), float("nan"))
        order = np.argsort(array)
        heavy = self.weights.numpy()[:, units[order]].cumsum(axis=1)
        middle = (heavy < heavy[:, -1:] / 2).sum(axis=1).clip(max=len(array) - 1)
        drawn = torch.from_numpy(array[order][middle])
        return _interval(float(np.median(array)), drawn[torch.from_numpy(heavy[:, -1] > 0)])


def _interval(value: float, drawn: Tensor) -> Interval:
    """Percentiles of the replicates that are finite, stretched to hold the value itself."""
    finite = drawn[torch.isfinite(drawn)]
    if len(finite) < 2:
        return Interval(value, float("nan"), float("nan"))
    low, high = (float(torch.quantile(finite, tail)) for tail in TAILS)
    return Interval(value, min(low, value), max(high, value))
