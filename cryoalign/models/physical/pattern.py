"""Noise power that differs by direction: of the detector, of drift, of interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import Verdict, decide
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 0.05


class PatternSums:
    """Sums of relative power at each frequency, by fold of groups.

    Parameters
    ----------
    box : int
    """

    def __init__(self, box: int) -> None:
        self._weight = half_plane(box).weight
        self._count = torch.zeros(FOLDS, dtype=torch.float64)
        self._sums = torch.zeros(FOLDS, 2, *self._weight.shape, dtype=torch.float64)

    def add(self, relative: Tensor, group: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        relative : (B, N, N // 2 + 1) tensor
            |residual|^2 over what rings and CTF predict.
        group : (B,) int64 tensor
        """
        fold, self._sums = group % FOLDS, self._sums.to(relative.device)
        for number in torch.unique(fold).tolist():
            inside = relative[fold == number]
            self._count[number] += len(inside)
            self._sums[number, 0] += inside.sum(0, dtype=torch.float64)
            self._sums[number, 1] += inside.square().sum(0, dtype=torch.float64)

    def fit(self, setting: bool | str) -> tuple[Tensor, Verdict]:
        """Fit the pattern.

        Parameters
        ----------
        setting : bool or str

        Returns
        -------
        pattern : (N, N // 2 + 1) tensor
            float64; 1 where every direction is alike.
        verdict : Verdict
        """
        there = self._count > 0
        count, sums = self._count[there], self._sums.cpu()[there]
        gains = torch.stack([self._gain(count, sums, fold) for fold in range(len(count))])
        verdict = decide(setting, gains)
        pattern = _shrunk(sums.sum(0), float(count.sum()))
        return (pattern if verdict.kept else torch.ones_like(pattern)), verdict

    def _gain(self, count: Tensor, sums: Tensor, fold: int) -> Tensor:
        """Return what the pattern of the other folds adds to the log-likelihood of one."""
        pattern = _shrunk(sums.sum(0) - sums[fold], float(count.sum() - count[fold]))
        lost = count[fold] * pattern.log() + sums[fold, 0] * (1 / pattern - 1)
        gain: Tensor = -0.5 * (self._weight * lost).sum()
        return gain


def _shrunk(sums: Tensor, count: float) -> Tensor:
    """Mean relative power, drawn towards 1 by ``max(0, 1 - (2 se / (t - 1))^2)``, se its standard error."""
    if count < 2:
        return torch.ones_like(sums[0])
    mean, square = sums / count
    error2 = (square - mean.square()).clamp(min=0) / (count - 1)
    excess = mean - 1
    kept = (1 - 4 * error2 / excess.square().clamp(min=1e-30)).clamp(min=0)
    pattern: Tensor = (1 + excess * kept).clamp(min=_LEAST)
    pattern[0, 0] = 1
    return pattern
