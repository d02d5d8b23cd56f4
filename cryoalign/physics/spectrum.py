"""Fourier rings: the radial log power spectrum, its distance (RPSD) and the ring correlation.

This is the only place where they are computed: the loss, the metrics, the figures and the exported curves all
call it, so they cannot disagree. Rings, and what a pixel of the half plane counts, are those of
`cryoalign.physics.half_plane`; here they run from 0 to ``floor(N / 2)`` and leave the corners out.

Everything runs in float32 or better with autocast off, because |F|^2 of an ordinary image overflows float16.
Ring sums are taken in float64: a float32 sum over some 800 pixels costs the fifth decimal, and on a GPU,
where `index_add` adds in no fixed order, float64 keeps that order from showing. On the CPU the order is fixed
and results are the same bit for bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch

from cryoalign.physics.half_plane import half_plane, product, rings_and_corner, squared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

Norm: TypeAlias = Literal["backward", "ortho", "forward"]


class _Rings(NamedTuple):
    ring: Tensor  # (N * (N // 2 + 1),) int64, ring of each pixel of the half plane; R in the corners
    weight: Tensor  # (N * (N // 2 + 1),) float64, how many pixels of the full plane it stands for
    pixels: Tensor  # (R,) float64, pixels of the full plane in each ring


def ring_count(box: int) -> int:
    """Count the rings of an image: 0 to ``floor(box / 2)``.

    Parameters
    ----------
    box : int
        Image size in px.

    Returns
    -------
    int
    """
    return box // 2 + 1


def normalized_radius(
    box: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the radius of each ring as a fraction of Nyquist.

    ``u = 2 ring / box``, so that the resolution in A is ``2 pixel_size / u``. The last ring of an even box is
    1, that of an odd box just below.

    Parameters
    ----------
    box : int
        Image size in px.
    device : torch.device or str, optional
        Where to make it.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    (R,) tensor, 0 to 1.

    Examples
    --------
    >>> normalized_radius(8)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    return torch.arange(ring_count(box), device=device, dtype=torch.float64).mul(2 / box).to(dtype)


def ring_pixels(box: int) -> Tensor:
    """Count the pixels of the whole plane in each ring.

    Parameters
    ----------
    box : int
        Image size in px.

    Returns
    -------
    (R,) float64 tensor
    """
    return half_plane(box).pixels[: ring_count(box)]


@lru_cache(maxsize=32)
def _rings(box: int, device: torch.device) -> _Rings:
    with torch.inference_mode(mode=False), torch.no_grad():  # they may enter autograd later
        parts = rings_and_corner(box).flatten(), half_plane(box).weight.flatten(), ring_pixels(box)
        return _Rings(*(part.to(device) for part in parts))


def _totals(values: Tensor, box: int) -> tuple[Tensor, Tensor]:
    """Sum over rings in float64, and the rings' pixel counts."""
    if values.shape[-2:] != (box, box // 2 + 1):
        raise ValueError(f"expected a half plane (..., {box}, {box // 2 + 1}), found {tuple(values.shape)}")
    rings = _rings(box, values.device)
    weighted = values.double().flatten(-2) * rings.weight
    sums = weighted.new_zeros(*weighted.shape[:-1], ring_count(box) + 1).index_add(-1, rings.ring, weighted)
    return sums[..., :-1], rings.pixels


def _precise(values: Tensor) -> Tensor:
    """Convert half precision to float32; float32 and float64 stay."""
    return values if values.dtype in {torch.float32, torch.float64} else values.float()


def ring_sum(values: Tensor, box: int) -> Tensor:
    """Sum a real half plane over each ring of the full plane.

    Parameters
    ----------
    values : (..., N, N // 2 + 1) tensor
        Real values in the layout of `torch.fft.rfft2`, equal at a frequency and its negative.
    box : int
        N.

    Returns
    -------
    (..., R) tensor
        Of `values`' type, float32 at least.

    Raises
    ------
    ValueError
        If the shape is not that of a half plane of `box`.
    """
    return _totals(values, box)[0].to(_precise(values).dtype)


def ring_mean(values: Tensor, box: int) -> Tensor:
    """Average a real half plane over each ring of the full plane.

    Parameters
    ----------
    values : (..., N, N // 2 + 1) tensor
        Real values in the layout of `torch.fft.rfft2`, equal at a frequency and its negative.
    box : int
        N.

    Returns
    -------
    (..., R) tensor
        Of `values`' type, float32 at least.

    Raises
    ------
    ValueError
        If the shape is not that of a half plane of `box`.
    """
    sums, pixels = _totals(values, box)
    return (sums / pixels).to(_precise(values).dtype)


def _half_plane(images: Tensor, norm: Norm) -> Tensor:
    if images.ndim < 2 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"expected square images (..., N, N), found {tuple(images.shape)}")
    spectra: Tensor = torch.fft.rfft2(_precise(images), norm=norm)
    return spectra


def radial_log_power(images: Tensor, norm: Norm = "backward") -> Tensor:
    """Compute the radial log power spectrum of each image.

    ``s(u) = mean over the ring of log(1 + |F|^2)``, with F the discrete Fourier transform. It is
    differentiable everywhere.

    Parameters
    ----------
    images : (..., N, N) tensor
        Real images, in grey values.
    norm : {"backward", "ortho", "forward"}
        Of the transform, as in `torch.fft`; "backward" is unnormalized.

    Returns
    -------
    (..., R) tensor
        Of the images' type, float32 at least.

    Raises
    ------
    ValueError
        If the images are not square.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(4, 4)
    >>> image[2, 2] = 1  # a point has the same power everywhere: log(1 + 1)
    >>> radial_log_power(image)
    tensor([0.6931, 0.6931, 0.6931])
    """
    with torch.autocast(images.device.type, enabled=False):
        spectra = _half_plane(images, norm)
        return ring_mean(squared(spectra).log1p(), images.shape[-1])


def rpsd_distance(a: Tensor, b: Tensor, power: int = 1) -> Tensor:
    """Compute the distance of two radial log power spectra: the mean over rings of ``|a - b|**power``.

    Parameters
    ----------
    a, b : (..., R) tensor
        Curves of `radial_log_power`.
    power : {1, 2}
        1 for the mean absolute difference (RPSD L1), 2 for the mean square (RPSD MSE).

    Returns
    -------
    (...,) tensor
        One number a pair of curves.

    Raises
    ------
    ValueError
        If the curves differ in length or the power is another.

    Examples
    --------
    >>> import torch
    >>> a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 3.0])
    >>> rpsd_distance(a, b)
    tensor(0.6667)
    >>> rpsd_distance(a, b, power=2)
    tensor(1.3333)
    """
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"curves of {a.shape[-1]} and {b.shape[-1]} rings")
    if power not in {1, 2}:
        raise ValueError(f"power is 1 or 2, not {power}")
    with torch.autocast(a.device.type, enabled=False):
        difference = _precise(a) - _precise(b)
        return (difference.abs() if power == 1 else difference.square()).mean(-1)


def rpsd(a: ArrayLike, b: ArrayLike, power: int = 1, norm: Norm = "backward") -> NDArray[np.float64]:
    """Compute the RPSD of images: the distance of their radial log power spectra.

    Parameters
    ----------
    a, b : (..., N, N) array_like
        Numpy arrays or tensors of real images on one grey scale: background-normalized, as fakes are.
    power : {1, 2}
        1 for the mean absolute difference over rings (RPSD L1), 2 for the mean square (RPSD MSE).
    norm : {"backward", "ortho", "forward"}
        Of the transform, as in `numpy.fft`.

    Returns
    -------
    (...,) float64 numpy array
        One number a pair of images. Two measured images of like defocus differ, too: a distance means little
        without theirs beside it.

    Raises
    ------
    ValueError
        If the images are not square, or differ in size.

    Examples
    --------
    >>> import numpy as np
    >>> import cryoalign
    >>> noise = np.random.default_rng(1).normal(size=(2, 64, 64))
    >>> cryoalign.rpsd(noise[0], noise[0]).item()
    0.0
    >>> bool(cryoalign.rpsd(noise[0], noise[1]) < cryoalign.rpsd(noise[0], 2 * noise[1]))
    True
    """
    curves = [radial_log_power(torch.as_tensor(images).double(), norm) for images in (a, b)]
    found: NDArray[np.float64] = rpsd_distance(curves[0], curves[1], power).numpy(force=True)
    return found


def ring_correlation_sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum over each ring what a ring correlation is made of.

    Parameters
    ----------
    a, b : (..., N, N) tensor
        Real images of the same size.

    Returns
    -------
    cross, power_a, power_b : (..., R) tensor
        ``Re sum F_a conj(F_b)``, ``sum |F_a|^2`` and ``sum |F_b|^2`` of the orthonormal transform. Add them
        up over images before taking the ratio.

    Raises
    ------
    ValueError
        If the images are not square or differ in size.
    """
    if a.shape[-2:] != b.shape[-2:]:
        raise ValueError(f"images of {tuple(a.shape[-2:])} and {tuple(b.shape[-2:])} px")
    with torch.autocast(a.device.type, enabled=False):
        box = a.shape[-1]
        left, right = _half_plane(a, "ortho"), _half_plane(b, "ortho")
        cross, power_a, power_b = product(left, right), squared(left), squared(right)
        return ring_sum(cross, box), ring_sum(power_a, box), ring_sum(power_b, box)


def correlation_ratio(cross: Tensor, power_a: Tensor, power_b: Tensor) -> Tensor:
    """Divide ring sums into a ring correlation, ``cross / sqrt(power_a power_b)``.

    A ring without power gives 0.

    Parameters
    ----------
    cross, power_a, power_b : (..., R) tensor
        From `ring_correlation_sums`, possibly added up over images.

    Returns
    -------
    (..., R) tensor, -1 to 1.
    """
    scale = power_a.sqrt() * power_b.sqrt()
    present = scale > 0
    return torch.where(present, cross / torch.where(present, scale, 1), 0)


def ring_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlate two images ring by ring (the Fourier ring correlation).

    It is the ratio of ring sums, not a mean of cosines (van Heel and Schatz 2005,
    doi:10.1016/j.jsb.2005.05.009).

    Parameters
    ----------
    a, b : (..., N, N) tensor
        Real images of the same size.

    Returns
    -------
    (..., R) tensor, -1 to 1.

    Raises
    ------
    ValueError
        If the images are not square or differ in size.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(4, 4)
    >>> image[2, 2] = 1
    >>> ring_correlation(image, -image).round()
    tensor([-1., -1., -1.])
    """
    return correlation_ratio(*ring_correlation_sums(a, b))
