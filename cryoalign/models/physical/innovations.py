"""Noise that is not Gaussian: skewed pixels, and bright or dark blobs as wide as the lowest Fourier rings.

Noise is white noise through a filter. Where the white noise is skewed, so is the background of an image, by
``sum h^3 / (sum h^2)^(3/2)`` as much, h the filter in real space. Here each value of the white noise is a
standardized shifted log-normal one, ``+-(exp(s z) - exp(s^2 / 2))``, with one parameter, its skewness; excess
kurtosis of 16/9 of its square comes with it.

The lowest rings have a skewness of another origin, such as ice and neighbours: blobs, which tie rings
together. Their part of the noise, smoothed, is passed through a function of the same kind, and each frequency
brought back to its power.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.physics.half_plane import half_plane

#: Last of the lowest rings, where the skewness is measured.
LOWEST = 4

_REACH = 8  # last ring that the function changes
# Power of the radius by which it is smoothed first. On real images, 0 leaves single rings too skewed and the
# lowest together too little.
_SMOOTHING = 1.5
_GRID = 32  # px; holds these rings and what the function of their values adds
_SKEWEST = 5.0
_STEEPEST = 1.2  # of the lowest rings' function
_STEPS = 13
_DRAWS = 500
_TINY = 1e-12


class Innovations(NamedTuple):
    """What the noise is made of.

    Attributes
    ----------
    skewness : float
        Of the white noise.
    lowest : float
        Parameter s of the lowest rings, with the sign of their skewness.
    """

    skewness: float = 0.0
    lowest: float = 0.0


def skewed(maps: Tensor, skewness: float) -> Tensor:
    """Turn standard normal values into skewed ones.

    Parameters
    ----------
    maps : (...) tensor
        Standard normal.
    skewness : float

    Returns
    -------
    (...) tensor
        Of mean 0, variance 1 and this skewness.
    """
    return _log_normal(maps, _shape(skewness))


def with_blobs(noise: Tensor, power: Tensor, shape: float) -> Tensor:
    """Skew the lowest rings of noise.

    Parameters
    ----------
    noise : (B, N, N // 2 + 1) complex tensor
        Transforms of Gaussian noise.
    power : (B, N, N // 2 + 1) tensor
        Its expected |F|^2.
    shape : float
        Parameter s, with the sign of the skewness.

    Returns
    -------
    (B, N, N // 2 + 1) complex tensor
        Of the same expected power at each frequency.
    """
    if shape == 0:
        return noise
    box = noise.shape[1]
    size = min(box, _GRID)
    rows, band = _corner(box), _band(size, _REACH).to(power)
    smooth = band * half_plane(size).radius.clamp(min=1).pow(-_SMOOTHING).to(power)
    part, wanted = (spectra[:, rows, : size // 2 + 1] for spectra in (noise, power))
    low, expected = part * smooth, wanted * smooth.square()
    # The covariance of a function of normal values is a function of theirs: what its power is, is known.
    covariance = torch.fft.irfft2(expected, s=(size, size), norm="forward") / size**2
    variance = covariance[:, :1, :1].clamp(min=_TINY)
    scale = variance.sqrt()
    field = torch.fft.irfft2(low, s=(size, size), norm="ortho") / scale
    spectrum = torch.fft.rfft2(_log_normal(field, shape) * scale, norm="ortho")
    changed = torch.expm1(shape**2 * covariance / variance) / math.expm1(shape**2) * variance
    found = torch.fft.rfft2(changed).real
    ratio = (wanted / found.clamp(min=_TINY)).sqrt()
    result = noise.clone()
    result[:, rows, : size // 2 + 1] = torch.where(band > 0, spectrum * ratio, part)
    return result


def third_moments(
    residual: Tensor, power: Tensor, background: Tensor, amplitude: Tensor | None = None
) -> Tensor:
    """Measure how skewed the noise of images is.

    Parameters
    ----------
    residual : (B, N, N // 2 + 1) complex tensor
        What the signal leaves of raw.
    power : (B, N, N // 2 + 1) tensor
        Expected |F|^2 of it.
    background : (N, N) boolean tensor
        True outside the particle's circle.
    amplitude : (B, N, N // 2 + 1) tensor, optional
        Mean of the factor that white noise is multiplied by, where it scatters about the root of the power.

    Returns
    -------
    (B, 4) tensor
        Skewness of the background; the part of the white noise's skewness that it keeps; skewness of the
        lowest rings; the part that they keep.
    """
    box = residual.shape[1]
    values = torch.fft.irfft2(residual, s=(box, box), norm="ortho")[
        :, background.to(residual.device)
    ].double()
    values = values - values.mean(1, keepdim=True)
    skewness = values.pow(3).mean(1) / values.square().mean(1).clamp(min=_TINY).pow(1.5)
    factor = power.sqrt() if amplitude is None else amplitude
    kept = [_kept(factor, power, band) for band in (half_plane(box).ring > 0, _band(box, LOWEST))]
    return torch.stack([skewness, kept[0], _lowest_skewness(residual).double(), kept[1]], 1).float()


def _kept(factor: Tensor, power: Tensor, band: Tensor) -> Tensor:
    """Return how much of the skewness of white noise is left of it in some rings, (B,)."""
    box, band = factor.shape[1], band.to(factor.device)
    kernel = torch.fft.irfft2(factor * band, s=(box, box)).double()
    weight = half_plane(box, band.device).weight
    variance = (power * (band * weight)).sum((1, 2)) / box**2
    kept: Tensor = kernel.pow(3).sum((1, 2)) / variance.clamp(min=_TINY).pow(1.5)
    return kept


def fit_skewness(moments: Tensor) -> float:
    """Fit the skewness of the white noise by least squares.

    Parameters
    ----------
    moments : (n, 4) tensor
        Of `third_moments`.

    Returns
    -------
    float
    """
    found = _slope(*_of_pixels(moments))
    return float(found.clamp(-_SKEWEST, _SKEWEST))


def fit_lowest(moments: Tensor, power: Tensor, skewness: float = 0.0, seed: int = 0) -> float:
    """Find the parameter of the lowest rings that makes them as skewed as they are.

    Parameters
    ----------
    moments : (n, 4) tensor
        Of `third_moments`.
    power : (N, N // 2 + 1) tensor
        Mean expected |F|^2.
    skewness : float
        Of the white noise, of which some is in the lowest rings, too.
    seed : int
        Of the noise that is tried.

    Returns
    -------
    float
        s, with the sign of the skewness.
    """
    wanted = float((moments[:, 2] - skewness * moments[:, 3]).double().mean())
    box = len(power)
    generator = torch.Generator().manual_seed(seed)
    size = min(box, _GRID)
    white = torch.randn(_DRAWS, size, size, generator=generator)
    small = power[_corner(box), : size // 2 + 1].float()
    noise = torch.fft.rfft2(torch.cat([white, -white]), norm="ortho") * small.sqrt()
    expected = small.expand(len(noise), -1, -1)
    last_shape = last = 0.0
    for step in range(1, _STEPS):
        shape = step * _STEEPEST / (_STEPS - 1)
        reached = float(_lowest_skewness(with_blobs(noise, expected, shape)).mean())
        if reached >= abs(wanted):
            part = (abs(wanted) - last) / (reached - last)
            return math.copysign(last_shape + part * (shape - last_shape), wanted)
        last_shape, last = shape, max(reached, last)
    return math.copysign(_STEEPEST, wanted)


def held_out(moments: Tensor, fold: Tensor) -> tuple[Tensor, Tensor]:
    """Compute what either skewness gains in each fold of images when it is fitted to the others.

    The skewness of an image is a mean over many pixels, hence about normal. It is predicted, or taken for 0;
    the variance is that of the other folds.

    Parameters
    ----------
    moments : (n, 4) tensor
        Of `third_moments`.
    fold : (n,) int64 tensor
        Number of the fold.

    Returns
    -------
    pixels, lowest : (F,) float64 tensor
        In nats, of the folds that hold images, in their order.
    """
    pixels, one = _of_pixels(moments), torch.ones(len(moments), dtype=torch.float64)
    gains: tuple[list[Tensor], list[Tensor]] = ([], [])
    for number in torch.unique(fold).tolist():
        there = fold == number
        of_pixels = _slope(pixels[0][~there], pixels[1][~there])
        lowest = moments[:, 2] - of_pixels * moments[:, 3], one
        for gain, (value, factor) in zip(gains, (pixels, lowest), strict=True):
            slope = _slope(value[~there], factor[~there])
            variance = (value - slope * factor)[~there].square().mean().clamp(min=_TINY)
            predicted = slope * factor[there]
            gain.append(((2 * value[there] - predicted) * predicted / (2 * variance)).sum())
    return torch.stack(gains[0]), torch.stack(gains[1])


def _of_pixels(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return skewness and what is kept of it, (n,) each, far outliers brought in: a hot pixel is none."""
    value, factor = moments[:, 0].double(), moments[:, 1].double()
    middle = value.median()
    reach = 12 * (value - middle).abs().median()  # eight standard deviations
    return value.clamp(middle - reach, middle + reach), factor


def _slope(value: Tensor, factor: Tensor) -> Tensor:
    slope: Tensor = (value * factor).sum() / factor.square().sum().clamp(min=_TINY)
    return slope


def _shape(skewness: float) -> float:
    """Return the parameter s of a log-normal distribution of this skewness.

    With w = exp(s^2) the square of the skewness is (w + 2)^2 (w - 1), a cubic in w.
    """
    half = abs(skewness) / 2
    w = math.cosh(math.asinh(half) * 2 / 3) * 2 - 1
    return math.copysign(math.sqrt(math.log(w)), skewness)


def _log_normal(values: Tensor, shape: float) -> Tensor:
    """Return standardized shifted log-normal values."""
    s = abs(shape)
    if s < 1e-4:  # a skewness of 3e-4
        return values
    deviation = math.exp(s**2 / 2) * math.sqrt(math.expm1(s**2))
    sign = math.copysign(1, shape)
    return (torch.expm1(values * (sign * s)) - math.expm1(s**2 / 2)) * (sign / deviation)


def _lowest_skewness(spectra: Tensor) -> Tensor:
    size = min(spectra.shape[1], _GRID)
    low = spectra[:, _corner(spectra.shape[1]), : size // 2 + 1] * _band(size, LOWEST).to(spectra.device)
    field = torch.fft.irfft2(low, s=(size, size), norm="ortho")
    variance = field.square().mean((1, 2)).clamp(min=_TINY)
    skewness: Tensor = field.pow(3).mean((1, 2)) / variance.pow(1.5)
    return skewness


def _band(size: int, last: int) -> Tensor:
    ring = half_plane(size).ring
    return (ring >= 1) & (ring <= last)


def _corner(box: int) -> Tensor:
    """Return the rows of the frequencies that a small grid holds."""
    size = min(box, _GRID)
    return torch.cat([torch.arange(size - size // 2), torch.arange(box - size // 2, box)])
