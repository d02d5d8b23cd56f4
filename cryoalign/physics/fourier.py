"""The one Fourier convention of the project: origin at pixel ``N // 2``, unnormalized half planes."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

_PLANE = (-2, -1)
_SPACE = (-3, -2, -1)


def rfft2(images: Tensor) -> Tensor:
    """Transform real images, taking the box centre as origin.

    Parameters
    ----------
    images : (..., N, N) real tensor
        Axes [y, x], origin at pixel ``N // 2``.

    Returns
    -------
    (..., N, N // 2 + 1) complex tensor
        Unnormalized: the zero frequency is the sum of the pixels. An image symmetric about its origin has a
        real spectrum.
    """
    spectra: Tensor = torch.fft.rfft2(torch.fft.ifftshift(images, dim=_PLANE), dim=_PLANE)
    return spectra


def irfft2(spectra: Tensor, box: int) -> Tensor:
    """Undo `rfft2`.

    Parameters
    ----------
    spectra : (..., N, N // 2 + 1) complex tensor
        Half planes as `rfft2` returns them.
    box : int
        Box size N in px, which the half plane does not determine.

    Returns
    -------
    (..., N, N) real tensor
    """
    images: Tensor = torch.fft.fftshift(torch.fft.irfft2(spectra, s=(box, box), dim=_PLANE), dim=_PLANE)
    return images


def frequency_grid(
    box: int,
    pixel_size: float = 1.0,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Return the spatial frequencies of a half plane.

    Parameters
    ----------
    box : int
        Box size N in px.
    pixel_size : float
        Pixel size in A; with the default the frequencies are in cycles per pixel.
    device, dtype
        Of the result.

    Returns
    -------
    ky : (N, 1) tensor
    kx : (1, N // 2 + 1) tensor
        In cycles per A, in the order of `torch.fft`; together they broadcast to (N, N // 2 + 1).

    Examples
    --------
    >>> ky, kx = frequency_grid(4, pixel_size=2.0)
    >>> kx
    tensor([[0.0000, 0.1250, 0.2500]])
    """
    ky = torch.fft.fftfreq(box, pixel_size, device=device, dtype=dtype)[:, None]
    kx = torch.fft.rfftfreq(box, pixel_size, device=device, dtype=dtype)[None, :]
    return ky, kx


def magnify(ky: Tensor, kx: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Transform the frequencies of images to those of the specimen: k' = M k.

    Parameters
    ----------
    ky : (N, 1) or (B, N, 1) tensor
    kx : (1, H) or (B, 1, H) tensor
        Frequencies, as `frequency_grid` gives them.
    matrix : (B, 2, 2) tensor
        Rows x and y: ``rlnMagMat00``, ``01``; ``10``, ``11``.

    Returns
    -------
    ky, kx : (B, N, H) tensor
    """
    xx, xy, yx, yy = matrix.flatten(1).t()[..., None, None]
    return yx * kx + yy * ky, xx * kx + xy * ky


def shift(spectra: Tensor, shift_px: Tensor, box: int) -> Tensor:
    """Move the content of images, given and returned as spectra.

    Multiplies by exp(-2 pi i k.s). For even N the Nyquist frequency of a real image cannot hold a fractional
    shift; `irfft2` keeps the part of it that can be real.

    Parameters
    ----------
    spectra : (..., N, N // 2 + 1) complex tensor
        Half planes.
    shift_px : (..., 2) tensor
        Shift (x, y) in px; positive moves towards higher pixel numbers.
    box : int
        Box size N in px.

    Returns
    -------
    (..., N, N // 2 + 1) complex tensor

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(4, 4)
    >>> image[2, 2] = 1
    >>> moved = irfft2(shift(rfft2(image), torch.tensor([1.0, 0.0]), 4), 4)
    >>> bool(moved[2, 3] > 0.99)  # one pixel along x
    True
    """
    ky, kx = frequency_grid(box, device=spectra.device, dtype=shift_px.dtype)
    phase_x = -2 * math.pi * kx * shift_px[..., 0, None, None]
    phase_y = -2 * math.pi * ky * shift_px[..., 1, None, None]
    factor_x = torch.polar(torch.ones_like(phase_x), phase_x).to(spectra.dtype)
    factor_y = torch.polar(torch.ones_like(phase_y), phase_y).to(spectra.dtype)
    return spectra * factor_x * factor_y


def fourier_resize(images: Tensor, box: int) -> Tensor:
    """Resample images by cropping or padding in Fourier space.

    The field of view stays, the pixel size becomes ``N / box`` times what it was, and the grey values (the
    mean) are kept. Origins match: pixel ``N // 2`` lands on ``box // 2``. A crop keeps the power that white
    noise has at each frequency, Nyquist included (`scipy.signal.resample` doubles it there, and RELION halves
    it in one column); padding interpolates.

    Parameters
    ----------
    images : (..., N, N) real tensor
    box : int
        New box size in px.

    Returns
    -------
    (..., box, box) real tensor

    Examples
    --------
    >>> import torch
    >>> images = torch.ones(5, 64, 64)
    >>> smaller = fourier_resize(images, 32)
    >>> smaller.shape, round(smaller.mean().item(), 3)
    (torch.Size([5, 32, 32]), 1.0)
    """
    return _resize(images, box, _PLANE)


def fourier_resize_volume(volume: Tensor, box: int) -> Tensor:
    """Resample volumes, as `fourier_resize` does for images.

    Parameters
    ----------
    volume : (..., N, N, N) real tensor
        Axes [z, y, x].
    box : int
        New size in voxels.

    Returns
    -------
    (..., box, box, box) real tensor
    """
    return _resize(volume, box, _SPACE)


def _resize(values: Tensor, box: int, dims: Iterable[int]) -> Tensor:
    """Resize one axis after the other: real transforms of one axis need no special planes, even or odd."""
    for dim in dims:
        size = values.shape[dim]
        if size == box:
            continue
        spectrum = torch.fft.rfft(torch.fft.ifftshift(values, dim=dim), dim=dim)
        common = min(size, box)
        spectrum = spectrum.narrow(dim, 0, common // 2 + 1).clone()
        if common % 2 == 0:
            # Nyquist of the smaller grid stands for +k and -k there, and is one of the two on the larger
            # grid. Padding interpolates; in a crop the sum of both would double the power of noise.
            spectrum.select(dim, common // 2).mul_(math.sqrt(2) if box < size else 0.5)
        resized = torch.fft.irfft(spectrum, n=box, dim=dim) * (box / size)
        values = torch.fft.fftshift(resized, dim=dim)
    return values


def centred_blocks(box: int) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Pair the four blocks of two full axes in the order of `torch.fft` with their places in centred order.

    Copying block by block spares the temporary that `torch.fft.fftshift` would need for a large transform.

    Parameters
    ----------
    box : int
        Length of both axes.

    Returns
    -------
    list of (source, target)
        Pairs of slices; in the target, the zero frequency lies at ``box // 2``.
    """
    positive = (box + 1) // 2
    halves = (
        (slice(0, positive), slice(box - positive, box)),
        (slice(positive, box), slice(0, box - positive)),
    )
    return [((z[0], y[0]), (z[1], y[1])) for z, y in product(halves, halves)]
