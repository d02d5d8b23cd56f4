"""Modes of bands of rings: what many rings have in common is found in fewer images than what each does.

A mode of 180 rings has 180 numbers, which a few hundred images do not tell: it predicts other images worse
than none. Rings next to each other vary alike, so they are taken together, in bands that grow with the
radius as the resolution of an eye does: a band of rings begins at ring r and holds ``r / fineness`` of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cryoalign.models.physical.modes import FEWEST_PIXELS, Modes, drawn_to_zero, fit_modes, largest

#: What is tried: single rings, and bands of 1/16, 1/8 and 1/4 of their radius.
FINENESS: tuple[float, ...] = (math.inf, 16, 8, 4)


def bands(pixels: Tensor, fineness: float) -> Tensor:
    """Return the number of the band of each ring, from 0 on.

    Parameters
    ----------
    pixels : (R,) tensor
        Of each ring; those of fewer than 8 are in no band.
    fineness : float
        Radius over width of a band.

    Returns
    -------
    (R,) int64 tensor
        -1 for rings in no band.
    """
    number = torch.full((len(pixels),), -1)
    band, left = -1, 0
    for ring in (pixels >= FEWEST_PIXELS).nonzero()[:, 0].tolist():
        if left == 0:
            band, left = band + 1, max(1, int(ring / fineness))
        number[ring] = band
        left -= 1
    return number


def fit_in_bands(
    u: Tensor,
    pixels: Tensor,
    micrograph: Tensor,
    fineness: float,
    counts: tuple[int, int] | None = None,
) -> tuple[Modes, tuple[int, int]]:
    """Find the modes in the log power of bands, and give each ring what its band has.

    Parameters
    ----------
    u : (n, R) tensor
    pixels : (R,) tensor
    micrograph : (n,) int64 tensor
        As in `cryoalign.models.physical.modes.fit_modes`.
    fineness : float
        Radius over width of a band; infinite for single rings.
    counts : (int, int), optional
        Modes of images and of micrographs in bands, where they are known already.

    Returns
    -------
    modes : Modes
        Of rings; what single rings vary by beside their band is in `Modes.separate`.
    counts : (int, int)
        Modes of images and of micrographs in bands.
    """
    number = bands(pixels, fineness)
    used = number >= 0
    band, weight = number[used], pixels[used].double()
    width = torch.bincount(band)
    if len(width) == len(band):
        modes = fit_modes(u, pixels, micrograph, counts=counts)
        return modes, modes.counts
    total = torch.zeros(len(width), dtype=torch.float64).index_add_(0, band, weight)
    values = u.double()[:, used]
    means = values.new_zeros(len(u), len(width)).index_add_(1, band, values * weight) / total
    found = fit_modes(means, total, micrograph, counts=counts)
    # What a band of several rings varies by as a whole is a mode of its rings.
    whole = (found.separate * (width > 1)).diag()
    within = largest(torch.cat([found.within, whole], 1).double())[band].float()
    between, single = found.between[band], (found.separate * (width == 1))[band]
    explained = within.square().sum(1) + between.square().sum(1) + single.square()
    if found.varies:
        left = _unexplained(values, weight, explained.double()) * (width > 1)[band]
        single = (single.square() + left).sqrt()
    parts = found.mean[band], within, between, single
    rings = [part.new_zeros(len(pixels), *part.shape[1:]) for part in parts]
    for rows, part in zip(rings, parts, strict=True):
        rows[used] = part
    return Modes(*rings), found.counts


def _unexplained(values: Tensor, pixels: Tensor, explained: Tensor) -> Tensor:
    """Return the variance of rings beyond that of chance and what is explained, drawn towards 0."""
    variance = values.var(0)
    excess = variance - torch.polygamma(1, pixels / 2) - explained
    return drawn_to_zero(excess, variance * math.sqrt(2 / len(values))).float()
