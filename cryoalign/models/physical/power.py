"""Noise power on each ring as a line in CTF^2: a part that the lens does not see, and one that it has shaped.

``P = B_r + C_r c^2``, c the particle's CTF at each frequency, by Whittle's likelihood (the transform of
noise is complex normal at each frequency; Whittle 1953, doi:10.1007/BF02590998) and multiplicative updates
(Fevotte, Bertin and Durrieu 2009, doi:10.1162/neco.2008.04-08-771), which keep B and C positive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.choice import Verdict, decide
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from torch import Tensor

#: Bins of CTF^2 on each ring.
BINS = 48
_UPDATES = 400
_FLOOR = 1e-9  # of a ring's mean power
_COUNT, _CTF2, _POWER = range(3)


class PowerTable:
    """Mean power by fold of groups, ring, and bin of CTF^2.

    Parameters
    ----------
    box : int
    largest : float
        The largest CTF^2 that gets a bin.
    """

    def __init__(self, box: int, largest: float) -> None:
        self._box, self._largest = box, largest
        self._sums = torch.zeros(FOLDS * len(half_plane(box).pixels) * BINS, 3, dtype=torch.float64)

    def add(self, power: Tensor, ctf: Tensor, group: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        power : (B, N, N // 2 + 1) tensor
            |residual|^2.
        ctf : (B, N, N // 2 + 1) tensor
        group : (B,) int64 tensor
        """
        ctf2 = ctf.square()
        bins = (ctf2 * (BINS / self._largest)).long().clamp(max=BINS - 1)
        plane = half_plane(self._box, power.device)
        rings = len(plane.pixels)
        place = (((group % FOLDS)[:, None, None] * rings + plane.ring) * BINS + bins).flatten()
        weight = plane.weight.expand(power.shape)
        self._sums = self._sums.to(power.device)
        for column, values in ((_COUNT, weight), (_CTF2, weight * ctf2), (_POWER, weight * power)):
            self._sums[:, column] += torch.bincount(place, values.flatten(), minlength=len(self._sums))

    def fit(self, setting: bool | str) -> tuple[Tensor, Tensor, Verdict]:
        """Fit B and C.

        Parameters
        ----------
        setting : bool or str
            Whether there is a C.

        Returns
        -------
        constant, following : (R,) tensor
            float64, on the CPU; the latter is 0 where the noise does not follow the CTF.
        verdict : Verdict
        """
        table = self._sums.reshape(FOLDS, -1, BINS, 3)
        table = table[table[..., _COUNT].sum((1, 2)) > 0]
        total = table.sum(0)
        others = torch.cat([total - table, total[None]])
        line, flat = _line(others), _flat(others)
        gains = _likelihood(table, *line) - _likelihood(table, *flat)
        verdict = decide(setting, gains)
        constant, following = line if verdict.kept else flat
        return constant[-1].cpu(), following[-1].cpu(), verdict


def _means(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take (..., R, BINS, 3) sums apart: counts, mean CTF^2, mean power."""
    count = table[..., _COUNT]
    return count, table[..., _CTF2] / count.clamp(min=1), table[..., _POWER] / count.clamp(min=1)


def _flat(table: Tensor) -> tuple[Tensor, Tensor]:
    """One power on each ring, (..., R)."""
    sums = table.sum(-2)
    mean = sums[..., _POWER] / sums[..., _COUNT].clamp(min=1)
    return mean, torch.zeros_like(mean)


def _line(table: Tensor) -> tuple[Tensor, Tensor]:
    """Fit B and C of (..., R) rings by multiplicative updates."""
    count, ctf2, power = _means(table)
    mean = _flat(table)[0]
    floor = (_FLOOR * mean).clamp(min=1e-30)[..., None]
    average = (count * ctf2).sum(-1) / count.sum(-1).clamp(min=1)
    shapes = torch.stack([torch.ones_like(ctf2), ctf2])
    weights = torch.stack([mean / 2, mean / 2 / average.clamp(min=1e-12)])
    for _ in range(_UPDATES):
        model = (weights[..., None] * shapes).sum(0).clamp(min=floor)
        inverse = count / model
        step = (shapes * (inverse * power / model)).sum(-1) / (shapes * inverse).sum(-1).clamp(min=1e-30)
        weights = weights * step.sqrt()
    return weights[0].clamp(min=floor[..., 0]), weights[1]


def _likelihood(table: Tensor, constant: Tensor, following: Tensor) -> Tensor:
    """Log-likelihood of the (F, R, BINS) cells of each fold, predicted by the first F of the fits."""
    count, ctf2, power = _means(table)
    model = constant[: len(table), :, None] + following[: len(table), :, None] * ctf2
    model = model.clamp(min=1e-30)
    return -0.5 * (count * (model.log() + power / model)).sum((1, 2))
