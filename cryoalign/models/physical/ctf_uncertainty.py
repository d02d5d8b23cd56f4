"""Uncertainty of the CTF: near its zeros real power does not go down to a floor, it scatters.

In units of the noise that does not follow the CTF, the power at a frequency is
``V = 1 - rho + (a + eta sqrt(rho))^2``, with ``a = sqrt(C / B) |c|`` what follows the CTF c, eta standard
normal, and rho how much of the noise adds to the CTF's amplitude before it is squared. Its mean is
``1 + a^2`` whatever rho is, so B and C are fitted without it; rho is found from how measured power scatters,
ring by ring.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.modes import FEWEST_PIXELS
from cryoalign.physics.half_plane import half_plane

#: Gain in log-likelihood, in nats, below which a ring has no uncertainty.
LEAST_GAIN = 10.0

_NODES = 24
_GRID = (0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_AMPLITUDES, _POWERS = 64, 48
_LOWEST, _HIGHEST = -8.0, 4.0  # natural logarithm of the power in a cell of the table, over what is expected
_LARGEST = 1e3  # amplitude; cells are 13 % wide there, and 0.03 at zero
_FINER = 4.0


class Uncertainty(NamedTuple):
    """What was found.

    Attributes
    ----------
    rho : (R,) float32 tensor
        0 to 1; 0 where it predicts the scatter too little better.
    held_out : (F,) float64 tensor
        What it gains in nats in each fold of groups when it is found in the others.
    """

    rho: Tensor
    held_out: Tensor


def relative_power(amplitude: Tensor, rho: Tensor | float, eta: Tensor | float) -> Tensor:
    """Return the power in units of the noise that does not follow the CTF.

    Parameters
    ----------
    amplitude : (...) tensor
        ``sqrt(C / B) |c|``.
    rho : (...) tensor or float
    eta : (...) tensor or float
        Standard normal.

    Returns
    -------
    (...) tensor
        ``1 - rho + (amplitude + eta sqrt(rho))^2``.
    """
    rho = torch.as_tensor(rho, dtype=amplitude.dtype, device=amplitude.device)
    return 1 - rho + (amplitude + eta * rho.sqrt()).square()


def mean_root(amplitude: Tensor, rho: Tensor) -> Tensor:
    """Compute the mean root of the power in units of the noise that does not follow the CTF.

    Parameters
    ----------
    amplitude : (...) tensor
        ``sqrt(C / B) |c|``.
    rho : (...) tensor

    Returns
    -------
    (...) tensor
        At most the root of the mean power.
    """
    total = torch.zeros_like(amplitude)
    for eta in _quantiles().tolist():
        total += relative_power(amplitude, rho, eta).clamp(min=0).sqrt()
    return total / _NODES


def relative_variance(amplitude: Tensor, rho: Tensor) -> Tensor:
    """Compute the variance of measured power, in units of the square of what is expected.

    ``1 + 2 Var(V) / (1 + a^2)^2`` with ``Var(V) = 4 a^2 rho + 2 rho^2``: 1 for normal noise.

    Parameters
    ----------
    amplitude : (...) tensor
        ``sqrt(C / B) |c|``.
    rho : (...) tensor

    Returns
    -------
    (...) tensor
        1 to 5.
    """
    square = amplitude.square()
    return 1 + 2 * (4 * square * rho + 2 * rho.square()) / (1 + square).square()


def symmetric_normal(maps: Tensor) -> Tensor:
    """Turn standard normal maps into standard normal numbers, one for each pair of frequencies k and -k.

    Parameters
    ----------
    maps : (B, N, N) tensor

    Returns
    -------
    (B, N, N // 2 + 1) tensor
        Real, the same at k and -k: power multiplied by a function of it remains that of a real image.
    """
    box = maps.shape[-1]
    numbers: Tensor = torch.fft.rfft2(maps, norm="ortho").real * math.sqrt(2)
    step = box // 2 if box % 2 == 0 else box  # frequencies that are their negatives are real already
    numbers[..., ::step, ::step] /= math.sqrt(2)
    return numbers


def log_likelihood(power: Tensor, amplitude: Tensor, rho: float) -> Tensor:
    """Compute the log-likelihood of measured power, averaged over eta.

    Parameters
    ----------
    power : (...) tensor
        |F|^2 over all of its expected value but V: ``|X - g S|^2 / (T exp(u) B)``.
    amplitude : (...) tensor
        ``sqrt(C / B) |c|``.
    rho : float

    Returns
    -------
    (...) tensor
        Of one complex number: log of the mean of ``exp(-power / V) / V`` over 24 quantiles of eta.
    """
    if rho == 0:
        expected = 1 + amplitude.square()
        return -power / expected - expected.log()
    total = torch.zeros(())
    for eta in _quantiles().tolist():
        expected = relative_power(amplitude, rho, eta)
        total = total + (-power / expected).exp() / expected.clamp(min=1e-12)
    value: Tensor = (total / _NODES).clamp(min=1e-300).log()
    return value


class UncertaintySums:
    """A table of measured power by ring, amplitude and power, in folds of groups.

    Its size does not depend on how many images there are.

    Parameters
    ----------
    box : int
        Image size in px.
    """

    def __init__(self, box: int) -> None:
        self._box, self._rings = box, half_plane(box)
        cells = len(self._rings.pixels) * _AMPLITUDES
        self._count = torch.zeros(FOLDS, cells * _POWERS, dtype=torch.float64)
        self._power = torch.zeros(cells * _POWERS, dtype=torch.float64)
        self._amplitude = torch.zeros(cells, dtype=torch.float64)

    def add(self, power: Tensor, amplitude: Tensor, group: Tensor) -> None:
        """Add images.

        Parameters
        ----------
        power, amplitude : (B, N, N // 2 + 1) tensor
            As in `log_likelihood`.
        group : (B,) int64 tensor
            Number of what stays together when a part is held out; from 0 on.
        """
        rings = half_plane(self._box, power.device)
        weight = (rings.weight / 2).flatten()  # a complex number is a pixel and its negative
        sums = self._count, self._power, self._amplitude
        self._count, self._power, self._amplitude = (values.to(power.device) for values in sums)
        for one, along, number in zip(power.double(), amplitude.double(), group.tolist(), strict=True):
            a = along.flatten().clamp(max=_LARGEST)
            # Over what is expected: at any amplitude, C / B of thousands included, it is of the order of 1.
            q = one.flatten() / (1 + a.square())
            across = (_FINER * a).log1p() * (_AMPLITUDES / math.log1p(_FINER * _LARGEST))
            across = across.long().clamp(max=_AMPLITUDES - 1)
            step = (q.clamp(min=1e-30).log() - _LOWEST) * (_POWERS / (_HIGHEST - _LOWEST))
            row = rings.ring.flatten() * _AMPLITUDES + across
            cell = row * _POWERS + step.long().clamp(min=0, max=_POWERS - 1)
            self._count[number % FOLDS].index_add_(0, cell, weight)
            self._power.index_add_(0, cell, weight * q)
            self._amplitude.index_add_(0, row, weight * a)

    def fit(self) -> Uncertainty:
        """Find rho by its likelihood on a grid, with a parabola through the best value and its neighbours.

        Returns
        -------
        Uncertainty
        """
        sums = self._count, self._power, self._amplitude
        self._count, self._power, self._amplitude = (values.cpu() for values in sums)
        values = self._on_grid()
        seen = self._count.sum(1) > 0
        total = values.sum(0)
        held = [
            torch.gather(fold, 1, _best(total - fold, self._rings.pixels)[:, None]).sum()
            for fold in values[seen]
        ]
        best = _best(total, self._rings.pixels)
        rho = torch.tensor([_peak(row, place) for row, place in zip(total, best.tolist(), strict=True)])
        return Uncertainty(rho, torch.stack(held) if held else torch.zeros(0, dtype=torch.float64))

    def _on_grid(self) -> Tensor:
        """Gain of each value of the grid over 0, (F, R, V), from the means of the cells."""
        rings = len(self._rings.pixels)
        count = self._count.sum(0)
        in_row = count.reshape(-1, _POWERS).sum(1)
        amplitude = (self._amplitude / in_row.clamp(min=1e-12)).reshape(rings, _AMPLITUDES, 1)
        relative = (self._power / count.clamp(min=1e-12)).reshape(rings, _AMPLITUDES, _POWERS)
        power = relative * (1 + amplitude.square())
        folds = self._count.reshape(FOLDS, rings, -1)
        base = log_likelihood(power, amplitude, 0.0)
        gains = [((log_likelihood(power, amplitude, rho) - base).flatten(1) * folds).sum(2) for rho in _GRID]
        return torch.stack(gains, 2)


def _quantiles() -> Tensor:
    """Return 24 values that stand for a normal distribution, of unit variance together."""
    places = (torch.arange(_NODES, dtype=torch.float64) + 0.5) / _NODES
    nodes = torch.special.ndtri(places)
    unit: Tensor = nodes / nodes.square().mean().sqrt()
    return unit


def _best(gain: Tensor, pixels: Tensor) -> Tensor:
    """Return the place on the grid of each ring's rho, (R,), from (R, V) gains."""
    most, place = gain.max(1)
    return torch.where((most > LEAST_GAIN) & (pixels >= FEWEST_PIXELS), place, 0)


def _peak(gain: Tensor, place: int) -> float:
    """Return the rho of the parabola through the best value of the grid and its neighbours."""
    if place in {0, len(_GRID) - 1}:
        return _GRID[place]
    x = torch.tensor(_GRID[place - 1 : place + 2], dtype=torch.float64) - _GRID[place]
    left, right = ((gain[place + step] - gain[place]) / x[1 + step] for step in (-1, 1))
    curve = (right - left) / (x[2] - x[0])
    slope = left - curve * x[0]
    shift = float(-slope / (2 * curve)) if curve < 0 else 0.0
    return min(max(_GRID[place] + shift, _GRID[place - 1]), _GRID[place + 1])
