"""Images filtered by ring, and the power that such filters are made from; rings go on into the corners."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from cryoalign.physics.half_plane import half_plane, product, squared

if TYPE_CHECKING:
    from torch import Tensor


@lru_cache(maxsize=16)
def _plane(box: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    plane = half_plane(box)
    with torch.inference_mode(mode=False), torch.no_grad():  # they may enter autograd later
        return plane.ring.to(device), plane.weight.to(device), plane.pixels.to(device)


def _half_planes(images: Tensor) -> Tensor:
    spectra: Tensor = torch.fft.rfft2(
        images.to(torch.promote_types(images.dtype, torch.float32)), norm="ortho"
    )
    return spectra


def _ring_means(values: Tensor, box: int) -> Tensor:
    ring, weight, pixels = _plane(box, values.device)
    weighted = (values.double() * weight).flatten(-2)
    sums = weighted.new_zeros(*weighted.shape[:-1], len(pixels)).index_add(-1, ring.flatten(), weighted)
    return sums / pixels


def ring_power(images: Tensor) -> Tensor:
    """Average the power over each ring of the whole plane, corners included.

    Parameters
    ----------
    images : (..., N, N) tensor
        Real images.

    Returns
    -------
    (..., R) float64 tensor
        ``mean |F|^2`` of the orthonormal transform: the mean over all pixels of the plane is the mean square
        of the image.
    """
    with torch.autocast(images.device.type, enabled=False):
        return _ring_means(squared(_half_planes(images)), images.shape[-1])


def ring_gain(sim: Tensor, raw: Tensor) -> Tensor:
    """Fit the real gain of sim in raw on each ring, by least squares over all images.

    ``g = Re sum(R S*) / sum |S|^2``; 0 where sim has no power.

    Parameters
    ----------
    sim, raw : (B, 1, N, N) tensor
        Pairs.

    Returns
    -------
    (R,) float64 tensor
    """
    box = sim.shape[-1]
    left, right = _half_planes(sim), _half_planes(raw)
    cross = _ring_means(product(right, left), box).flatten(0, -2).sum(0)
    power = _ring_means(squared(left), box).flatten(0, -2).sum(0)
    present = power > 1e-10 * power.mean()
    return torch.where(present, cross / torch.where(present, power, 1), 0)


def filter_rings(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the transform of images by one real factor a ring.

    Parameters
    ----------
    images : (..., N, N) tensor
        Real images.
    factors : (..., R) tensor
        One a ring of the whole plane, corners included; leading axes are broadcast with the images'.

    Returns
    -------
    (..., N, N) tensor
        Of the images' type, float32 at least.
    """
    with torch.autocast(images.device.type, enabled=False):
        box = images.shape[-1]
        spectra = _half_planes(images)
        by_pixel = factors.to(spectra.real.dtype)[..., _plane(box, images.device)[0]]
        filtered: Tensor = torch.fft.irfft2(spectra * by_pixel, s=(box, box), norm="ortho")
        return filtered
