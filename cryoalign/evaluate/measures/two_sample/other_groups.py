"""Raw images of other groups in the fakes' place: whether groups differ by themselves.

Raw images of the same groups cannot be told from each other, which is the floor of a classifier. But a
generator is fitted to some groups (tomograms, micrographs) and judged on others, whose noise it has never
seen. Where real images of some groups are told from those of others, a classifier that tells fakes may tell
nothing else, and its question cannot be decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.evaluate.measures.two_sample.held_out import two_folds

if TYPE_CHECKING:
    from cryoalign.evaluate.measures.two_sample.held_out import Rows

FEWEST_IN_CLASS = 10
"""Images of each class in each half: with fewer, the AUC says nothing."""


def deal_groups(groups: Rows, fold: Rows, seed: int) -> tuple[Rows, Rows] | None:
    """Deal the groups of each half out to two classes of like size.

    Parameters
    ----------
    groups : (n,) int64
    fold : (n,) int64
        Half of each, 0 or 1.
    seed : int

    Returns
    -------
    one, other : int64
        Rows, those of a group all in one of them; None where a half has a single group, or too few images.
    """
    second = np.zeros(len(groups), dtype=np.int64)
    for number in (0, 1):
        inside = fold == number
        if len(np.unique(groups[inside])) < 2:
            return None
        second[inside] = two_folds(groups[inside], seed + 1 + number)
    if np.bincount(2 * fold + second, minlength=4).min() < FEWEST_IN_CLASS:
        return None
    return np.flatnonzero(second == 0), np.flatnonzero(second == 1)
