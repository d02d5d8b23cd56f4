"""Half planes of `torch.fft.rfft2`: the ring of each frequency, and how often it stands in the whole plane.

A ring is the set of Fourier pixels whose radius, in index units, rounds to the same integer. Rings 0 to
``floor(N / 2)`` are those of spectra; rings beyond go on into the corners. Since a half plane is kept, every
pixel stands for two, but for those of column 0 and, in an even box, of the Nyquist column.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor


class HalfPlane(NamedTuple):
    """What is known of each frequency of a half plane.

    Attributes
    ----------
    radius : (N, N // 2 + 1) float64 tensor
        In index units.
    ring : (N, N // 2 + 1) int64 tensor
        The radius, rounded.
    weight : (N, N // 2 + 1) float64 tensor
        How many pixels of the whole plane each one stands for.
    pixels : (R,) float64 tensor
        Pixels of the whole plane in each ring, corners included.
    """

    radius: Tensor
    ring: Tensor
    weight: Tensor
    pixels: Tensor


@lru_cache(maxsize=32)
def half_plane(box: int, device: torch.device | None = None) -> HalfPlane:
    """Describe the half plane of images.

    Parameters
    ----------
    box : int
        N, the image size in px, even or odd.
    device : torch.device, optional
        Where it is wanted; the CPU if not given.

    Returns
    -------
    HalfPlane
        Shared by all who ask, so not to be changed.
    """
    # Outside inference mode, whoever asks first: a tensor made inside it could never enter autograd later,
    # and Lightning's sanity check asks before training does.
    with torch.inference_mode(mode=False), torch.no_grad():
        if device is not None:
            return HalfPlane(*(values.to(device) for values in half_plane(box)))
        along_y = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64)[:, None]
        along_x = torch.arange(box // 2 + 1, dtype=torch.float64)[None]
        radius = torch.hypot(along_y, along_x)
        # A radius never falls halfway between two integers, since its square is an integer.
        ring = radius.round().long()
        weight = torch.full(ring.shape, 2.0, dtype=torch.float64)
        weight[:, 0] = 1
        if box % 2 == 0:
            weight[:, -1] = 1
        return HalfPlane(radius, ring, weight, torch.bincount(ring.flatten(), weight.flatten()))


def rings_and_corner(box: int) -> Tensor:
    """Return the ring of each frequency, and take all that lies beyond the last whole ring as one more.

    Parameters
    ----------
    box : int
        N in px.

    Returns
    -------
    (N, N // 2 + 1) int64 tensor
        0 to ``floor(N / 2)``, and one more in the corners.
    """
    return half_plane(box).ring.clamp(max=box // 2 + 1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return Re a conj(b), without making the complex product.

    Parameters
    ----------
    a, b : (...) complex tensor
        Of one shape.

    Returns
    -------
    (...) real tensor
    """
    return a.real * b.real + a.imag * b.imag


def squared(spectra: Tensor) -> Tensor:
    """Return |F|^2 without the root that `abs` takes.

    Parameters
    ----------
    spectra : (...) complex tensor

    Returns
    -------
    (...) real tensor
    """
    return spectra.real.square() + spectra.imag.square()
