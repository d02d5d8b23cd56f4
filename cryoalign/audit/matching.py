"""Whether images fit those of other rows: the averages of both sets, and every image with every other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.correlation import Estimate, Scorer, estimate

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_STANDS_OUT = 5.5  # sigma: the best of a few hundred chance correlations lies near 3


@dataclass(frozen=True)
class Matching:
    """What connects the two sets apart from the rows.

    Attributes
    ----------
    average : Estimate
        Mean correlation of the measured images with the average simulated image.
    same_row : int
        Measured images whose best match stands out and is the simulated image of the same row.
    other_row : int
        Those whose best match stands out and is that of another row.
    strength : float
        Mean correlation of the latter with their best matches, 0 where there are none.
    """

    average: Estimate
    same_row: int
    other_row: int
    strength: float


def match_any(
    scorer: Scorer, templates: torch.Tensor, groups: NDArray[np.int64], envelope: float
) -> Matching:
    """Look for each measured image's best match among all simulated ones.

    Parameters
    ----------
    scorer : Scorer
        Holds the measured images.
    templates : (n, N, N // 2 + 1) complex tensor
        Half planes of the simulated ones.
    groups : (n,) int64
    envelope : float
        See `Scorer.correlation`.
    """
    matrix = scorer.matrix(templates, envelope)
    level = matrix - np.median(matrix, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(level), axis=1, keepdims=True)
    best = level.argmax(1)
    rows = np.arange(len(matrix))
    clear = level[rows, best] > _STANDS_OUT * spread[:, 0]
    average = estimate(scorer.average_correlation(templates), groups)
    other = clear & (best != rows)
    strength = float(matrix[rows, best][other].mean()) if other.any() else 0.0
    return Matching(average, int((clear & (best == rows)).sum()), int(other.sum()), strength)
