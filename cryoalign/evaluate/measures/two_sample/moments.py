"""Moments of the grey values by band: what a power spectrum cannot tell of an image."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.half_plane import rings_and_corner

if TYPE_CHECKING:
    from torch import Tensor

_NOTHING = 1e-12  # a standard deviation below this is that of an empty band


def band_moments(images: Tensor) -> Tensor:
    """Describe the grey values of each image in each band of frequencies, and in all of them.

    An image is confined to a band of rings, see `cryoalign.evaluate.measures.content.bands.band_masks`, and
    once to all frequencies but its mean, corners included. The spread is that of its grey values x, the
    skewness the mean of ((x - mean) / sd)^3, the excess kurtosis that of the fourth power, less 3: both are 0
    for Gaussian noise, whatever its spectrum is. Images of one power spectrum can differ in them.

    Parameters
    ----------
    images : (B, N, N) tensor
        Grey values.

    Returns
    -------
    (B, 3 (K + 1)) float64 tensor
        Logarithm of the standard deviation, skewness and excess kurtosis of each of K bands, then of all
        frequencies. A band that is empty has a skewness of 0 and an excess kurtosis of -3.
    """
    box = images.shape[-1]
    spectra = rfft2(images.float())
    found: list[Tensor] = []
    for mask in _planes(box):
        values = irfft2(spectra * mask.to(spectra.device), box).flatten(1).double()
        deviation = values.square().mean(1).sqrt().clamp_min(_NOTHING)
        standard = values / deviation[:, None]
        square = standard.square()
        found += [deviation.log(), (square * standard).mean(1), square.square().mean(1) - 3]
    return torch.stack(found, 1)


@lru_cache(maxsize=16)
def _planes(box: int) -> tuple[Tensor, ...]:
    """Mark each band's frequencies, and all but the mean's, on the half plane."""
    rings = [mask for _, mask in band_masks(box, 1.0)]
    whole = torch.arange(len(rings[0]) + 1) > 0
    masks = [torch.cat([mask, mask.new_zeros(1)]) for mask in rings]
    return tuple(mask[rings_and_corner(box)] for mask in (*masks, whole))
