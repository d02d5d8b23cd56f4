"""The contrast transfer function, with RELION's signs and units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.physics.fourier import frequency_grid, magnify

if TYPE_CHECKING:
    from torch import Tensor

_ANGSTROM_PER_MM = 1e7


def electron_wavelength(voltage: Tensor) -> Tensor:
    """Return the relativistic de Broglie wavelength of electrons.

    lambda = h / sqrt(2 m e V (1 + e V / (2 m c^2))), with the constants rounded as RELION rounds them.

    Parameters
    ----------
    voltage : tensor
        Acceleration voltage in kV.

    Returns
    -------
    tensor
        Wavelength in A, of the same shape.

    Examples
    --------
    >>> import torch
    >>> electron_wavelength(torch.tensor(300.0))  # kV
    tensor(0.0197)
    """
    volts = voltage * 1e3
    return 12.2643247 / torch.sqrt(volts * (1 + volts * 0.978466e-6))


def ctf(
    box: int,
    pixel_size: float | Tensor,
    *,
    defocus: Tensor,
    voltage: Tensor,
    spherical_aberration: Tensor,
    amplitude_contrast: Tensor,
    phase_shift: Tensor,
    bfactor: Tensor,
    scale: Tensor,
    even_phase: Tensor | None = None,
    magnification: Tensor | None = None,
) -> Tensor:
    r"""Compute the contrast transfer function of each particle on its half plane.

    .. math::
        \mathrm{CTF}(k) = s\, e^{-B k^2 / 4} \sin\!\left(\pi\lambda\, \Delta f(\phi)\, k^2
            - \tfrac{\pi}{2} C_s \lambda^3 k^4 + \arcsin Q + \varphi - e(k)\right)

    with :math:`\Delta f(\phi) = \bar{\Delta f} + \tfrac12 (\Delta f_U - \Delta f_V) \cos 2(\phi - \phi_U)`,
    at the frequencies k of the specimen, M times those of the image: positive at low frequency for
    underfocus, so that white density gives white images, as in RELION (Rohou & Grigorieff 2015,
    doi:10.1016/j.jsb.2015.08.008, with the sign turned).

    This is written here although torch-ctf exists, which returns NaN where defocus V exceeds U: see
    docs/decisions/0004. Here astigmatism is a quadratic form in (kx, ky), without angles or roots of the
    frequency.

    Parameters
    ----------
    box : int
        Box size N in px.
    pixel_size : float or (B,) tensor
        Pixel size in A.
    defocus : (B, 3) tensor
        Defocus U and V in A, underfocus positive, and the azimuth of U in degrees from x towards y.
    voltage : (B,) tensor
        Acceleration voltage in kV.
    spherical_aberration : (B,) tensor
        In mm.
    amplitude_contrast : (B,) tensor
        Fraction Q, 0 to 1.
    phase_shift : (B,) tensor
        Phase plate shift in degrees.
    bfactor : (B,) tensor
        ``rlnCtfBfactor`` in A^2.
    scale : (B,) tensor
        ``rlnCtfScalefactor``.
    even_phase : (B, N, N // 2 + 1) tensor, optional
        Symmetric aberrations e(k) in rad, as `cryoalign.physics.aberration.zernike_phase` gives them.
    magnification : (B, 2, 2) tensor, optional
        Matrices M; see `cryoalign.physics.fourier.magnify`.

    Returns
    -------
    (B, N, N // 2 + 1) real tensor
        Of the device and floating type of `defocus`.

    Examples
    --------
    >>> import torch
    >>> def one(value):
    ...     return torch.tensor([value])
    >>> plane = ctf(
    ...     4,
    ...     2.0,
    ...     defocus=torch.tensor([[10000.0, 10000.0, 0.0]]),
    ...     voltage=one(300.0),
    ...     spherical_aberration=one(2.7),
    ...     amplitude_contrast=one(0.1),
    ...     phase_shift=one(0.0),
    ...     bfactor=one(0.0),
    ...     scale=one(1.0),
    ... )
    >>> plane.shape
    torch.Size([1, 4, 3])
    >>> plane[0, 0, 0]  # at the zero frequency: the amplitude contrast
    tensor(0.1000)
    """
    ky, kx = frequency_grid(box, device=defocus.device, dtype=defocus.dtype)
    sampling = torch.as_tensor(pixel_size, device=defocus.device, dtype=defocus.dtype).reshape(-1, 1, 1)
    ky, kx = ky / sampling, kx / sampling
    if magnification is not None:
        ky, kx = magnify(ky, kx, magnification)
    k2 = kx.square() + ky.square()

    mean = (defocus[:, 0] + defocus[:, 1]) / 2
    half_difference = (defocus[:, 0] - defocus[:, 1]) / 2
    azimuth = torch.deg2rad(defocus[:, 2])
    along = half_difference * torch.cos(2 * azimuth)
    across = half_difference * torch.sin(2 * azimuth)
    # defocus(phi) k^2 = a kx^2 + b kx ky + c ky^2
    defocus_k2 = _column(mean + along) * kx.square() + _column(2 * across) * (kx * ky)
    defocus_k2 = defocus_k2 + _column(mean - along) * ky.square()

    wavelength = electron_wavelength(voltage)
    spherical = math.pi / 2 * spherical_aberration * _ANGSTROM_PER_MM * wavelength**3
    constant = torch.asin(amplitude_contrast) + torch.deg2rad(phase_shift)
    phase = _column(math.pi * wavelength) * defocus_k2 - _column(spherical) * k2.square() + _column(constant)
    if even_phase is not None:
        phase = phase - even_phase
    return torch.sin(phase) * (_column(scale) * torch.exp(_column(-bfactor / 4) * k2))


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
