"""Cramer's V of a table of two kinds of images by class, without the bias of small tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.evaluate.finding import Interval
from cryoalign.evaluate.resampling import TAILS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def contingency(second: NDArray[np.bool_], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count the images of two kinds in each class.

    Parameters
    ----------
    second : (n,) bool
        Whether an image is of the second kind.
    classes : (n,) int64

    Returns
    -------
    (2, K) float64
        Of the K classes that hold an image.
    """
    _, place = np.unique(classes, return_inverse=True)
    count = int(place.max()) + 1
    return np.stack(
        [np.bincount(place[second == kind], minlength=count) for kind in (False, True)]
    ).astype(np.float64)  # fmt: skip


def chi_squared(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's statistic of (..., 2, K) tables against independence: (...)."""
    rows, columns = tables.sum(-1, keepdims=True), tables.sum(-2, keepdims=True)
    expected = rows * columns / tables.sum((-2, -1), keepdims=True)
    found: NDArray[np.float64] = ((tables - expected) ** 2 / expected).sum((-2, -1))
    return found


def cramers_v(
    second: NDArray[np.bool_], classes: NDArray[np.int64], groups: NDArray[np.int64], draws: int, seed: int
) -> Interval:
    """Return Cramer's V of kind by class, bias-corrected, and its interval.

    V = sqrt(max(0, chi^2 - dof) / n) with dof = K - 1: chi^2 / n of two equal mixes is dof / n on average,
    not 0 (after Bergsma 2013, doi:10.1016/j.jkss.2012.10.002). For kinds of like number it is 0 where every
    class holds as many of both, 1 where no class holds both, and 0.2 where every class holds 60 % of one.

    What chance does to chi^2 is found by permuting the kinds *within groups*, so that classes that go with a
    micrograph do not count; groups that hold one kind only are taken together, see `strata`. To that spread
    the interval adds what a chi^2 has beyond it where the mixes differ, the square of a normal variable
    around sqrt(chi^2 - dof) in place of 0.

    Parameters
    ----------
    second : (n,) bool
        Kind of each image.
    classes : (n,) int64
    groups : (n,) int64
    draws : int
        Permutations.
    seed : int

    Returns
    -------
    Interval
        It holds 0 where the mixes are equal, but for one time in 40.
    """
    table = contingency(second, classes)
    count, freedom = len(classes), table.shape[1] - 1
    if freedom < 1:
        return Interval(0.0, 0.0, 0.0)
    beyond = float(chi_squared(table)) - freedom
    rng = np.random.default_rng(seed)
    groups = strata(second, groups)
    by_chance = np.array(
        [chi_squared(contingency(permuted_within(second, groups, rng), classes)) for _ in range(draws)]
    )
    size = np.sqrt(max(beyond, 0.0))
    away = by_chance - freedom + 2 * size * rng.standard_normal(draws)
    low, high = (beyond - float(np.quantile(away, tail)) for tail in reversed(TAILS))
    value, low, high = (float(np.sqrt(max(square, 0.0) / count)) for square in (beyond, low, high))
    return Interval(value, min(low, value), min(max(high, value), 1.0))


def strata(second: NDArray[np.bool_], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups in which kinds can be exchanged.

    A group of a single image, or of one kind, has nothing to exchange: all of those become one group, and
    where that is of one kind too, the smallest of the others joins it.

    Parameters
    ----------
    second : (n,) bool
        Kind of each image.
    groups : (n,) int64

    Returns
    -------
    (n,) int64
        Numbers from 0 on, each of both kinds, unless all images are of one.
    """
    _, number, count = np.unique(groups, return_inverse=True, return_counts=True)
    of_second = np.bincount(number, weights=second)
    mixed = (of_second > 0) & (of_second < count)
    if mixed.all():
        return number.astype(np.int64)
    pooled = second[~mixed[number]]
    if mixed.any() and (pooled.all() or not pooled.any()):
        mixed[np.flatnonzero(mixed)[count[mixed].argmin()]] = False
    found: NDArray[np.int64] = np.where(mixed[number], number + 1, 0).astype(np.int64)
    return found


def permuted_within(
    second: NDArray[np.bool_], groups: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Exchange the kinds of images at random within each group."""
    place = np.argsort(groups, kind="stable")
    shuffled = np.lexsort((rng.random(len(groups)), groups))
    found = np.empty_like(second)
    found[place] = second[shuffled]
    return found
