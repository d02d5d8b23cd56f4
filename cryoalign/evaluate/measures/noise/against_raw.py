"""A statistic of fake less that of raw, and beside it raw against raw of other images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.evaluate.finding import Interval, Verdict, within
from cryoalign.evaluate.measures.noise.independence import has_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case

NOTE = "floor: one half of raw less the other"
GROUPS_DIFFER = "Halves of raw differ by more than that themselves: these images cannot tell."
NO_NOISE = "Fake has no noise to speak of."


class Compared(NamedTuple):
    """Of fake, of raw, fake less raw, and one half of raw less the other."""

    fake: Interval
    raw: Interval
    difference: Interval
    floor: Interval


def by_unit(case: Case, units: NDArray[np.int64], *columns: Tensor) -> list[Tensor]:
    """Add up values of images by their resampling units.

    Parameters
    ----------
    case : Case
    units : (n,) int64
        Of each image.
    *columns : (n, ...) tensor

    Returns
    -------
    list of (units, ...) float64 tensor
    """
    index, count = torch.from_numpy(units), case.pairs.unit_count
    return [
        torch.zeros(count, *values.shape[1:], dtype=torch.float64).index_add_(0, index, values.double())
        for values in columns
    ]


def compare(
    case: Case, statistic: Callable[..., Tensor], fake: Sequence[Tensor], raw: Sequence[Tensor]
) -> Compared:
    """Take a statistic of sums of fake and of raw.

    Parameters
    ----------
    case : Case
    statistic : callable
        As in `cryoalign.evaluate.resampling.Resampling.of`.
    fake, raw : sequence of (units, ...) tensor
        The sums that it takes.

    Returns
    -------
    Compared
    """
    count, of = len(fake), case.resampling.of

    def difference(*tables: Tensor) -> Tensor:
        return statistic(*tables[:count]) - statistic(*tables[count:])

    halves = []
    for start in (0, 1):
        mine = torch.zeros(case.pairs.unit_count, dtype=torch.float64)
        mine[start::2] = 1
        halves += [table * mine.view(-1, *[1] * (table.ndim - 1)) for table in raw]
    return Compared(of(statistic, *fake), of(statistic, *raw), of(difference, *fake, *raw),
                    of(difference, *halves))  # fmt: skip


def verdict_of(case: Case, compared: Compared, limit: float) -> tuple[Verdict, str]:
    """Hold the difference against a limit to either side.

    Parameters
    ----------
    case : Case
    compared : Compared
    limit : float

    Returns
    -------
    Verdict
        Undecided, too, where fake has no noise, and where halves of raw differ by more than the limit.
    str
        The reason of the latter, else empty.
    """
    if not has_noise(case.sums):
        return Verdict.UNDECIDED, NO_NOISE
    limits = (-limit, limit)
    if within(compared.floor, limits) is Verdict.FAIL:
        return Verdict.UNDECIDED, GROUPS_DIFFER
    return within(compared.difference, limits), ""
