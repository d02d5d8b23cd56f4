"""A filter and the power of what it leaves, ring by ring over the whole Fourier plane, by defocus.

Model of a pair: ``R(k) = g(k) S(k) + n(k)`` with a real gain g and independent Gaussian noise n of power P,
both constant on a ring. Least squares give ``g = Re sum(R S*) / sum |S|^2`` and ``P = mean |R - g S|^2``. The
zero frequency, a ring of its own, gets an offset too, since a stack's zero grey value means nothing. Rings
go on into the corners of the plane, unlike those of the RPSD: noise has to reach there as well.

Transforms are orthonormal here, so that P is a variance: its mean over the plane is the variance of a pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.models.defocus_bins import MOST_KNOTS, DefocusSums, between_knots, bins_of, gather
from cryoalign.physics.half_plane import half_plane, product, squared

if TYPE_CHECKING:
    from torch import Tensor

_MEANS = 4  # number of images, sums of defocus, of sim's and of raw's zero frequency
_NOTHING = 1e-10  # of sim's mean power: on a ring of less sim holds rounding errors, which tell no gain
_FLOOR = 1e-12  # of the mean power: a ring where raw and its model are the same has no logarithm


class Knots(NamedTuple):
    """The model at some defoci.

    Attributes
    ----------
    defocus : (K,) tensor
        Mean defocus in A of each bin, ascending; a knot at infinity is one that is not used.
    gain, power : (K, R) tensor
        By ring; power of the orthonormal transform.
    offset : (K,) tensor
        Of the zero frequency of the orthonormal transform.
    """

    defocus: Tensor
    gain: Tensor
    power: Tensor
    offset: Tensor


def at_defocus(knots: Knots, defocus: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Interpolate linearly between the knots; beyond the outer ones the model stays what it is there.

    Parameters
    ----------
    knots : Knots
    defocus : (B,) tensor
        In A.

    Returns
    -------
    gain, power : (B, R) tensor
    offset : (B,) tensor
    """
    gain, power, offset = between_knots(
        knots.defocus, (knots.gain, knots.power, knots.offset[:, None]), defocus
    )
    return gain, power, offset[:, 0]


class RingSums:
    """What the model is fitted on, added up batch by batch.

    Kept by cell of defocus and by fold of groups: memory depends on the box and the spread of the defoci,
    not on how many images there are.

    Parameters
    ----------
    box : int
        Image size in px.
    """

    def __init__(self, box: int) -> None:
        self.box, self.rings = box, half_plane(box)
        self._sums = DefocusSums()  # _MEANS + 3 R columns

    def add(self, sim: Tensor, raw: Tensor, defocus: Tensor, group: Tensor) -> None:
        """Add pairs.

        Parameters
        ----------
        sim, raw : (B, 1, N, N) tensor
            Network values.
        defocus : (B,) tensor
            In A.
        group : (B,) int64 tensor
            Number of the micrograph, or of what else stays together when a part is held out; from 0 on.
        """
        left, right = (torch.fft.rfft2(images.squeeze(1).float(), norm="ortho") for images in (sim, raw))
        products = torch.stack([squared(left), product(right, left), squared(right)], 1).double()
        rings = half_plane(self.box, sim.device)
        totals = products.new_zeros(len(sim), 3, len(rings.pixels)).index_add_(
            -1, rings.ring.flatten(), (products * rings.weight).flatten(2)
        )
        means = [torch.ones_like(defocus), defocus, left[:, 0, 0].real, right[:, 0, 0].real]
        rows = torch.cat([torch.stack([values.double() for values in means], 1), totals.flatten(1)], 1)
        self._sums.add(rows, defocus, group)

    def fit(self) -> Knots:
        """Fit the model: by defocus where that predicts groups that were held out better, else one for all.

        Tried are 2, 4 and 8 bins of about as many images each. Each eighth of the groups is predicted from
        the others; the measure is the Gaussian log-likelihood of its rings. The best number of bins is taken
        if it beats one spectrum by more than twice the standard error of the difference over the eighths.

        Returns
        -------
        Knots
            float64.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        table = self._sums.table()
        one = torch.zeros(len(table), dtype=torch.int64)
        labels = one
        if (table[..., 0].sum(0) > 0).sum() > 1:
            one_for_all, best = self._held_out(table, one), 0.0
            for wanted in (2, 4, MOST_KNOTS):
                bins = bins_of(table[..., 0].sum(1), wanted)
                if bins is None:
                    continue
                gain = self._held_out(table, bins) - one_for_all
                error = gain.std() * math.sqrt(len(gain))  # of the sum
                if float(gain.sum()) > max(best, 2 * float(error)):
                    best, labels = float(gain.sum()), bins
        return self._solve(gather(table.sum(1), labels))

    def _solve(self, sums: Tensor) -> Knots:
        """Least squares from (K, V) sums."""
        (count, defocus, s0, r0), ss, rs, _ = self._parts(sums)
        cross, spread = rs.clone(), ss.clone()
        cross[:, 0] -= s0 * r0 / count
        spread[:, 0] -= s0**2 / count
        pixels = count[:, None] * self.rings.pixels
        nothing = spread / pixels <= _NOTHING * (ss.sum(1) / pixels.sum(1))[:, None]
        gain = torch.where(nothing, 0, cross / torch.where(nothing, 1, spread))
        offset = (r0 - gain[:, 0] * s0) / count
        power = self._residual(sums, gain, offset) / pixels
        return Knots(defocus / count, gain, power, offset)

    def _parts(self, sums: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take (K, V) sums apart: (4, K) means, (K, R) of sim's power, the cross power, raw's power."""
        ss, rs, rr = sums[:, _MEANS:].reshape(len(sums), 3, -1).unbind(1)
        return sums[:, :_MEANS].t(), ss, rs, rr

    def _residual(self, sums: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """Sum |R - g S - c|^2 over each ring, (K, R)."""
        (count, _, s0, r0), ss, rs, rr = self._parts(sums)
        left = rr - 2 * gain * rs + gain**2 * ss
        left[:, 0] += offset * (count * offset - 2 * r0 + 2 * gain[:, 0] * s0)
        return left.clamp(min=0)

    def _held_out(self, table: Tensor, labels: Tensor) -> Tensor:
        """Log-likelihood of each fold that holds images, predicted from the others."""
        total = table.sum(1)
        scores = []
        for fold in table.unbind(1):
            there = fold[:, 0] > 0
            if not there.any():
                continue
            binned = gather(total - fold, labels)
            knots = self._solve(binned[binned[:, 0].round() >= 1])
            held = fold[there]
            gain, power, offset = at_defocus(knots, held[:, 1] / held[:, 0])
            power = power.clamp(min=_FLOOR * float(power.mean()) + 1e-300)
            pixels = held[:, :1] * self.rings.pixels
            left = self._residual(held, gain, offset) / power
            scores.append(-0.5 * (pixels * power.log() + left).sum())
        return torch.stack(scores)
