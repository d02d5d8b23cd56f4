"""The gain of sim in raw, by ring, weighted by what is known of the noise.

Weighted least squares give ``g = sum(Re(X S*) / P) / sum(|S|^2 / P)`` on each ring. Where that predicts
groups that were held out better, g is fitted in bins of defocus, as `cryoalign.models.ring_fit` does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.models.defocus_bins import MOST_KNOTS, DefocusSums, between_knots, bins_of, gather
from cryoalign.models.physical.choice import FEWEST_GROUPS, Verdict, decide
from cryoalign.models.physical.model import Gain
from cryoalign.physics.half_plane import half_plane, product, squared

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.models.physical.spectra import Spectra

_MEANS = 4  # number of images, sums of defocus, of sim's and of raw's zero frequency
_NOTHING = 1e-10  # of the mean: on a ring of less sim holds rounding errors, which tell no gain


class GainSums:
    """Sums for the gain, by cell of defocus and fold of groups.

    Parameters
    ----------
    box : int
    """

    def __init__(self, box: int) -> None:
        self._rings = half_plane(box)
        self._sums = DefocusSums()  # _MEANS + 2 R columns

    def add(self, spectra: Spectra, power: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        spectra : Spectra
        power : (B, N, N // 2 + 1) tensor
            Of the noise. The zero frequency, which has an offset too, is not weighted.
        """
        zero, rings = power[:, :1, :1].double(), half_plane(power.shape[1], power.device)
        products = torch.stack([squared(spectra.sim), product(spectra.raw, spectra.sim)], 1) / power[:, None]
        totals = zero.new_zeros(len(power), 2, len(rings.pixels))
        totals.index_add_(-1, rings.ring.flatten(), (products.double() * rings.weight).flatten(2))
        totals[..., 0] *= zero[:, 0]
        left, right = spectra.sim[:, 0, 0].real, spectra.raw[:, 0, 0].real
        means = torch.stack([torch.ones_like(left), spectra.defocus, left, right], 1)
        rows = torch.cat([means.double(), totals.flatten(1)], 1)
        self._sums.add(rows, spectra.defocus, spectra.group)

    def fit(self, setting: bool | str) -> tuple[Gain, Verdict]:
        """Fit the gain.

        Parameters
        ----------
        setting : bool or str
            Whether it may depend on the defocus.

        Returns
        -------
        gain : Gain
            float64.
        verdict : Verdict
            On the dependence on defocus.
        """
        table = self._sums.table()
        table = table[:, table[..., 0].sum(0) > 0]
        one = torch.zeros(len(table), dtype=torch.int64)
        verdict, labels = Verdict(kept=False), one
        for wanted in () if setting is False else (2, 4, MOST_KNOTS):
            bins = bins_of(table[..., 0].sum(1), wanted)
            if bins is None:
                continue
            gains = self._held_out(table, bins) - self._held_out(table, one)
            found = decide(setting, gains, default=False)
            # What was not held out has no number: the first that is kept is taken.
            first = math.isnan(verdict.nats) and not verdict.kept
            if first or (found.kept, found.nats) > (verdict.kept, verdict.nats):
                verdict, labels = found, bins if found.kept else one
        return self._solve(gather(table.sum(1), labels)), verdict

    def _solve(self, sums: Tensor) -> Gain:
        """Least squares from (K, V) sums."""
        count, defocus, s0, r0 = sums[:, :_MEANS].unbind(1)
        spread, cross = sums[:, _MEANS:].reshape(len(sums), 2, -1).clone().unbind(1)
        cross[:, 0] -= s0 * r0 / count
        raw_spread = spread[:, 0].clone()
        spread[:, 0] -= s0**2 / count
        mean = spread / (count[:, None] * self._rings.pixels)
        nothing = mean <= _NOTHING * mean[:, 1:].amax(1, keepdim=True)
        nothing[:, 0] = spread[:, 0] <= _NOTHING * raw_spread
        factor = torch.where(nothing, 0, cross / torch.where(nothing, 1, spread))
        return Gain(defocus / count, factor, (r0 - factor[:, 0] * s0) / count)

    def _held_out(self, table: Tensor, labels: Tensor) -> Tensor:
        """Log-likelihood of each fold, predicted from the others, but for what is the same for any gain."""
        if table.shape[1] < FEWEST_GROUPS:
            return table.new_zeros(table.shape[1])
        total = table.sum(1)
        scores = []
        for fold in table.unbind(1):
            there = fold[:, 0] > 0
            others = gather(total - fold, labels)
            gain = self._solve(others[others[:, 0].round() >= 1])
            held = fold[there]
            (factor,) = between_knots(gain.defocus, (gain.factor,), held[:, 1] / held[:, 0])
            spread, cross = held[:, _MEANS:].reshape(len(held), 2, -1)[..., 1:].unbind(1)
            scores.append((factor[:, 1:] * cross - factor[:, 1:].square() * spread / 2).sum())
        return torch.stack(scores)
