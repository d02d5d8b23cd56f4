"""What is measured of the noise of every single image: a table of a bounded number of images, in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.evaluate.measures.edges import edge_correlations
from cryoalign.evaluate.measures.noise.independence import content_of, parts_of, residual
from cryoalign.physics.conditions import conditions
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.half_plane import half_plane, rings_and_corner, squared
from cryoalign.physics.mask import background
from cryoalign.physics.spectrum import ring_pixels, ring_sum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case

#: Standard deviation of the Gaussian that smooths squared residuals, as a fraction of the box.
SMOOTHING = 1 / 16

_FAINT = 1e-30  # a power of nothing


class OfImages(NamedTuple):
    """What each of n images of one kind has, in K bands of rings.

    Attributes
    ----------
    skewness : (n,) float64 tensor
        Of the grey values outside the particle's circle.
    band_power : (n, K) float64 tensor
        Mean over the pixels of a band of the residual's power over that of the mean image's ring.
    log_variance : (n, K) float64 tensor
        Variance of the logarithm of the residual's power within a ring, mean over the pixels of the band.
    modulation : (n,) float64 tensor
        Relative variance over the image of its smoothed squared whitened residual, less that of copies with
        random phases.
    edges : (n, 3, L, 2 M + 1) float64 tensor
        Correlations of the residual across opposite edges, and at the one and the other edge inside, see
        `cryoalign.evaluate.measures.edges.EdgeCorrelations`.
    power_of_ctf : (2, n, R) float64 tensor
        Ring sums of q and q CTF^2, q the residual's power over that of the mean image's ring.
    """

    skewness: Tensor
    band_power: Tensor
    log_variance: Tensor
    modulation: Tensor
    edges: Tensor
    power_of_ctf: Tensor


@dataclass(frozen=True)
class ImageTable:
    """Images of particles spread over the groups.

    Attributes
    ----------
    units, groups : (n,) int64
        Resampling unit and group of each particle.
    bands : tuple of (str, (R,) bool tensor)
        Names and rings of the bands.
    pixels : (K,) float64 tensor
        Real numbers that the power of a band is a mean of.
    ctf : dict of str to (2, n, R) float64 tensor
        Ring sums of CTF^2 and CTF^4 of each image, of ``fake`` and ``raw``.
    of : dict of str to OfImages
        Of ``fake`` and ``raw``.
    """

    units: NDArray[np.int64]
    groups: NDArray[np.int64]
    bands: tuple[tuple[str, Tensor], ...]
    pixels: Tensor
    ctf: dict[str, Tensor]
    of: dict[str, OfImages]


def image_table(case: Case, images: int) -> ImageTable:
    """Measure images one by one.

    Parameters
    ----------
    case : Case
    images : int
        Particles at the most: the table and the time do not grow beyond them.

    Returns
    -------
    ImageTable
    """
    pairs, content = case.pairs, content_of(case)
    rows = pairs.choose(images, case.seed)
    bands = tuple(band_masks(pairs.box, pairs.pixel_size))
    rings = [mask.to(case.device) for _, mask in bands]
    outside = torch.from_numpy(background(pairs.box, pairs.normalization["raw"].radius)).to(case.device)
    whitenings = {kind: _Whitening.of(case, kind, content) for kind in ("fake", "raw")}
    found: dict[str, list[OfImages]] = {kind: [] for kind in whitenings}
    lenses: dict[str, list[Tensor]] = {kind: [] for kind in whitenings}
    kinds = ["fake", "raw", *([] if content is None else [content])]
    batches = pairs.batches(kinds, rows=rows, label="reading the noise of images", progress=case.progress)
    for part, from_files in batches:
        read = {kind: values.to(case.device) for kind, values in from_files.items()}
        seen = None if content is None else rfft2(read[content]) / pairs.box
        once = {"raw": _ctf_squared(case, part, "raw")}
        once["fake"] = once["raw"] if pairs.paired else _ctf_squared(case, part, "fake")
        for kind, whitening in whitenings.items():
            lens = once[kind]
            powers = [ring_sum(power, pairs.box) for power in (lens, lens.square())]
            lenses[kind].append(torch.stack(powers).cpu())
            left = whitening.residual(rfft2(read[kind]) / pairs.box, seen)
            of_batch = _measure(left, left * whitening.scale, read[kind][:, outside], lens, rings)
            found[kind].append(OfImages(*(values.cpu() for values in of_batch)))
    pixels = ring_pixels(pairs.box)
    return ImageTable(
        pairs.units[rows],
        pairs.groups[rows],
        bands,
        torch.stack([pixels[mask].sum() for _, mask in bands]),
        {kind: torch.cat(parts, 1).double() for kind, parts in lenses.items()},
        {kind: _joined(parts) for kind, parts in found.items()},
    )


class _Whitening(NamedTuple):
    """Takes the content from spectra; `scale` brings rings of what is left to mean power 1, corners to 0."""

    gain: Tensor
    scale: Tensor

    @classmethod
    def of(cls, case: Case, kind: str, content: str | None) -> _Whitening:
        sums = case.sums
        power, cross, seen = (table.sum((0, 1)) for table in parts_of(sums, kind, content))
        left = residual(power, cross, seen) / ring_pixels(sums.box) / float(sums.count.sum())
        scale = torch.where(left > _FAINT, left, torch.inf).rsqrt()
        scale[0] = 0
        rings, beyond = rings_and_corner(sums.box), torch.zeros(1, dtype=torch.float64)
        gain, scale = (
            torch.cat([values, beyond])[rings].float().to(case.device)
            for values in (cross / seen.clamp_min(_FAINT), scale)
        )
        return cls(gain, scale)

    def residual(self, spectra: Tensor, content: Tensor | None) -> Tensor:
        return spectra if content is None else spectra - self.gain * content


def _ctf_squared(case: Case, rows: NDArray[np.int64], kind: str) -> Tensor:
    """(B, N, N // 2 + 1) CTF^2 of the images of a kind."""
    pairs = case.pairs
    optics = conditions(pairs.particles_of(kind), rows, case.device)
    optics = replace(optics, pixel_size=torch.full_like(optics.pixel_size, pairs.pixel_size))
    even, _ = optics.aberrations(*optics.frequencies(pairs.box))
    return optics.ctf(pairs.box, even).square()


def _measure(
    left: Tensor,
    white: Tensor,
    outside: Tensor,
    ctf_squared: Tensor,
    bands: list[Tensor],
) -> OfImages:
    """Measure a batch: residuals, whitened ones, CTF^2 (B, N, H), grey values of the background (B, P).

    Bands are (R,) bool; all on one device.
    """
    box, power = white.shape[-2], squared(white)
    pixels = ring_pixels(box).to(white.device)
    sums = ring_sum(power, box).double()
    logs = power.clamp_min(_FAINT).log()
    first, second = (ring_sum(values, box).double() / pixels for values in (logs, logs.square()))
    half = pixels / 2  # a frequency and its negative are one
    spread = (second - first.square()) * half / (half - 1).clamp_min(0.5)

    def by_band(values: Tensor) -> Tensor:
        return torch.stack([values[:, mask].sum(-1) / pixels[mask].sum() for mask in bands], -1)

    away = outside.double() - outside.double().mean(-1, keepdim=True)
    variance = away.square().mean(-1)
    return OfImages(
        (away**3).mean(-1) / variance.clamp_min(_FAINT) ** 1.5,
        by_band(sums),
        by_band(spread * pixels),
        modulation(white),
        torch.stack(edge_correlations(irfft2(left, box)), 1),
        torch.stack([sums, ring_sum(power * ctf_squared, box).double()]),
    )


def modulation(white: Tensor) -> Tensor:
    """Measure how much the local variance of noise changes over an image.

    The square of the noise is smoothed by a Gaussian; its variance over the image, less that expected of
    images of the same Fourier amplitudes with random phases, over the square of its mean. The latter variance
    needs no drawing: with random phases the covariance of squares is twice the square of the covariance.

    Parameters
    ----------
    white : (B, N, N // 2 + 1) complex tensor
        Spectra of the noise, orthonormal.

    Returns
    -------
    (B,) float64 tensor
        0 on average for stationary Gaussian noise; m^2 for such noise times 1 + m/2 f, f a smooth field of
        variance 1.
    """
    box = white.shape[-2]
    plane = half_plane(box)
    kernel = torch.exp(-4 * math.pi**2 * SMOOTHING**2 * plane.radius.square())  # squared, of the power
    weight = (kernel * plane.weight).to(white.device)
    weight[0, 0] = 0

    def smoothed(power: Tensor) -> Tensor:
        return (power * weight).sum((-2, -1)) / box**4

    values = irfft2(white, box).double() * box
    mean = values.square().mean((-2, -1))
    observed = smoothed(squared(torch.fft.rfft2(values.square())))
    covariance = torch.fft.irfft2(squared(white).double(), s=(box, box))
    stationary = smoothed(torch.fft.rfft2(2 * covariance.square()).real * box**2)
    return (observed - stationary) / mean.square().clamp_min(_FAINT)


def _joined(parts: list[OfImages]) -> OfImages:
    """Join batches along the images, which power_of_ctf has second."""
    skewness, band_power, log_variance, modulated, edges, power_of_ctf = zip(*parts, strict=True)
    return OfImages(
        torch.cat(skewness), torch.cat(band_power), torch.cat(log_variance), torch.cat(modulated),
        torch.cat(edges), torch.cat(power_of_ctf, 1),
    )  # fmt: skip
