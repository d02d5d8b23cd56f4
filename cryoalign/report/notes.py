"""What a reader has to know before believing a difference between arms."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from cryoalign.report.measures import MEASURES, measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.report.arms import Comparison


def comparison_notes(comparison: Comparison) -> Iterator[str]:
    """Name what keeps the tests of the runs from being compared.

    Parameters
    ----------
    comparison : Comparison

    Yields
    ------
    str
        A sentence.
    """
    arms, runs = comparison.arms, comparison.runs
    if len(runs) == 1:
        yield "There is one run only: nothing to compare it with."
    elif len(arms) > 1 and any(len(arm.runs) == 1 for arm in arms):
        letters = ", ".join(arm.letter for arm in arms if len(arm.runs) == 1)
        yield f"One seed only: {letters}. Without a second, a difference may be chance: give seed=1,2,3."
    if not comparison.same_images:
        yield "The runs were not tested on the same images: their numbers cannot be compared directly."
    if len({run.code for run in runs}) > 1:
        versions = ", ".join(sorted({run.code[:12] for run in runs}))
        yield f"The runs were trained by different versions of the code: {versions}."
    for arm in arms:
        repeated = [seed for seed, count in Counter(run.seed for run in arm.runs).items() if count > 1]
        if repeated:
            yield f"{arm.letter} holds seed {', '.join(repeated)} more than once: its spread is too small."
    for run in runs:
        bad = [name for name in MEASURES if not math.isfinite(measured(run, name) or 0)]
        if bad:
            yield f"{run.folder}: not a number: {', '.join(bad)}."
