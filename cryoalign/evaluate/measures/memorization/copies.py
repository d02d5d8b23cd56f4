"""The noise of an image alone, and how much of one image's noise is found in others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from scipy import stats

from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.half_plane import half_plane, product, rings_and_corner, squared

if TYPE_CHECKING:
    from torch import Tensor

_SYMMETRIES = 8  # flips and quarter turns of the square
_QUIET = 1e-4  # of the mean power: rings with less are not raised above their neighbours
_QUARTILES = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
_RARE = 0.001


class Largest(NamedTuple):
    """Largest correlation of each image's noise with that of any of a number of others.

    Attributes
    ----------
    training : (n,) float64
        Among training images.
    chance : (n,) float64
        Among as many images that cannot have been copied.
    alarm : float
        What chance exceeds in one image of a thousand.
    """

    training: Tensor
    chance: Tensor
    alarm: float


def whitened_residuals(images: Tensor, sims: Tensor) -> Tensor:
    """Take the content away from images, whiten what remains, and bring each to length 1.

    The content is T(k) sim with T = Re sum X S* / sum |S|^2 on each ring, over all images; the remainder is
    divided on each ring by the root of its mean power there. The corners beyond the last ring count as one
    ring; the mean of each image is left out. The inner product of two results is their correlation, and of
    independent Gaussian noise it has mean 0 and standard deviation 1 / N.

    Parameters
    ----------
    images : (n, N, N) float32 tensor
    sims : (n, N, N) float32 tensor
        Their noise-free counterparts.

    Returns
    -------
    (n, N, N) float32 tensor
        Zero where nothing remains.
    """
    box = images.shape[-1]
    ring = rings_and_corner(box).to(images.device)
    shown, content = rfft2(images.float()), rfft2(sims.float())
    transfer = _mean(product(shown, content), ring) / _mean(squared(content), ring).clamp_min(1e-30)
    residual = shown - transfer.float()[ring] * content
    power = _mean(squared(residual), ring)
    weight = (power + _QUIET * power[1:].mean()).clamp_min(1e-30).rsqrt()
    weight[0] = 0  # the mean grey value
    white: Tensor = irfft2(residual * weight.float()[ring], box)
    length: Tensor = torch.linalg.vector_norm(white, dim=(-2, -1), keepdim=True)
    unit: Tensor = white / length.clamp_min(1e-30)
    return unit


def _mean(values: Tensor, ring: Tensor) -> Tensor:
    """Average (n, N, N // 2 + 1) values over images and over each ring with its corners: (R + 1,) float64."""
    weight = half_plane(values.shape[-2]).weight.to(values.device)
    count = int(ring.max()) + 1
    total = torch.bincount(ring.flatten(), (values.double().mean(0) * weight).flatten(), minlength=count)
    return total / torch.bincount(ring.flatten(), weight.flatten(), minlength=count)


def largest_correlations(
    fakes: Tensor, training: Tensor, others: Tensor, groups: Tensor, of_others: Tensor
) -> Largest:
    """Look for the noise of training images in fakes, in all flips and quarter turns.

    Chance is what the same fakes show with measured images that were never trained on, those of other
    groups. Where these are fewer or more than the training images, the largest of 8 m correlations is
    expected to differ from the largest of 8 r by q(8 m) - q(8 r) standard deviations, q(N) the value that a
    standard normal exceeds once in N; chance is moved by that. The alarm is the 99.9 % point of a Gumbel
    distribution, that of largest values, with chance's quartiles, which single copies do not move; its scale
    is that of Gaussian correlations, the standard deviation over q(8 m), at least: fakes that all carry the
    same noise have one chance only, and no spread.

    Parameters
    ----------
    fakes : (n, N, N) float32 tensor
        From `whitened_residuals`.
    training : (m, N, N) float32 tensor
        Of the training set's raw images.
    others : (r, N, N) float32 tensor
        Of raw images that were held out.
    groups : (n,) int64 tensor
        Of the fakes.
    of_others : (r,) int64 tensor
        Of the held-out raw images.

    Returns
    -------
    Largest
    """
    elsewhere = groups[:, None] != of_others[None]
    found, _ = _largest(fakes, training, torch.ones(len(fakes), len(training), dtype=torch.bool))
    chance, spread = _largest(fakes, others, elsewhere)
    asked = _once_in(_SYMMETRIES * len(training))
    moves = [spread * (asked - _once_in(_SYMMETRIES * int(count))) for count in elsewhere.sum(1)]
    chance = chance + torch.tensor(moves, dtype=torch.float64)
    return Largest(found, chance, alarm_of(chance, spread / asked))


def alarm_of(chance: Tensor, least_scale: float) -> float:
    """Return what largest correlations by chance exceed in one image of a thousand.

    Parameters
    ----------
    chance : (n,) float64 tensor
        The largest of each image; a Gumbel distribution is put through their quartiles.
    least_scale : float
        Of that distribution.

    Returns
    -------
    float
    """
    low, middle, high = torch.quantile(chance, _QUARTILES).tolist()
    law = stats.gumbel_r
    scale = max((high - low) / (law.ppf(0.75) - law.ppf(0.25)), least_scale)
    return float(middle + scale * (law.isf(_RARE) - law.median()))


def _once_in(count: int) -> float:
    return float(stats.norm.isf(1 / count))


def _largest(fakes: Tensor, others: Tensor, allowed: Tensor) -> tuple[Tensor, float]:
    """Largest correlation with any allowed one of others in any position, (n,) on the CPU; spread of all."""
    best, allowed = fakes.new_full((len(fakes),), -torch.inf), allowed.to(fakes.device)
    squares, count = 0.0, 0
    flat = fakes.flatten(1)
    for number in range(_SYMMETRIES):
        turned = torch.rot90(others, number % 4, (-2, -1))
        turned = turned.flip(-1) if number >= 4 else turned
        table = flat @ turned.flatten(1).T
        best = torch.maximum(best, table.masked_fill(~allowed, -torch.inf).amax(1))
        kept = table[allowed].double()
        squares, count = squares + float(kept.square().sum()), count + len(kept)
    return best.double().cpu(), math.sqrt(squares / count)
