"""Higher aberrations as phases over the half plane: beam tilt and Zernike polynomials.

The conventions are RELION's (Zivanov, Nakane & Scheres 2020, doi:10.1107/S2052252520000081). An antisymmetric
phase a(k) multiplies the spectrum of an image by exp(i a); a symmetric one is subtracted from the phase
inside the sine of the CTF. All act at the frequencies of the specimen: those that
`cryoalign.physics.fourier.magnify` gives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from cryoalign.physics.ctf import electron_wavelength

if TYPE_CHECKING:
    from torch import Tensor

Parity = Literal["even", "odd"]

_ANGSTROM_PER_MM = 1e7
_RADIAN_PER_MRAD = 1e-3


def zernike_order(index: int, parity: Parity) -> tuple[int, int]:
    """Return which polynomial a coefficient of RELION's belongs to.

    RELION counts through n = 0, 2, 4, ... (even) or 1, 3, 5, ... (odd), and through m = -n, -n + 2, ..., n
    for each n.

    Parameters
    ----------
    index : int
        0-based place in ``rlnEvenZernike`` or ``rlnOddZernike``.
    parity : "even" or "odd"

    Returns
    -------
    n, m : int
        Degree and azimuthal order.
    """
    n = 0 if parity == "even" else 1
    while index > n:
        index -= n + 1
        n += 2
    return n, 2 * index - n


def zernike(n: int, m: int, ky: Tensor, kx: Tensor) -> Tensor:
    r"""Evaluate one Zernike polynomial without normalization, at any radius.

    .. math::
        Z_n^m = R_n^{|m|}(k) \cos m\phi \; (m \ge 0), \quad R_n^{|m|}(k) \sin |m|\phi \; (m < 0)

    with :math:`\phi` counted from x towards y. As a polynomial in (kx, ky) it needs no angle.

    Parameters
    ----------
    n, m : int
        Degree and azimuthal order.
    ky, kx : real tensors
        Coordinates that broadcast against each other. For RELION's coefficients the radius 1 is 1/A.

    Returns
    -------
    real tensor
        Of the broadcast shape.
    """
    order = abs(m)
    if n < order or (n - order) % 2:
        raise ValueError(f"there is no Zernike polynomial of degree {n} and order {m}")
    square = kx.square() + ky.square()
    lower, half = (n - order) // 2, (n + order) // 2
    radial = torch.zeros_like(square)
    for s in range(lower + 1):
        factorials = math.factorial(s) * math.factorial(half - s) * math.factorial(lower - s)
        radial = radial * square + (-1) ** s * math.factorial(n - s) / factorials
    real, imaginary = torch.ones_like(square), torch.zeros_like(square)  # of (kx + i ky)^|m|
    for _ in range(order):
        real, imaginary = real * kx - imaginary * ky, real * ky + imaginary * kx
    return radial * (real if m >= 0 else imaginary)


def zernike_phase(ky: Tensor, kx: Tensor, coefficients: Tensor, parity: Parity) -> Tensor:
    """Sum Zernike polynomials over frequencies.

    Parameters
    ----------
    ky, kx : tensors
        Frequencies in cycles per A that broadcast to (N, H) or (B, N, H).
    coefficients : (B, C) tensor
        In rad, in RELION's order.
    parity : "even" or "odd"

    Returns
    -------
    (B, N, H) tensor
        Phase in rad.
    """
    phase = torch.zeros_like(_column(coefficients.sum(1)) * (kx + ky))
    for index, column in enumerate(coefficients.unbind(1)):
        if column.any():
            phase += _column(column) * zernike(*zernike_order(index, parity), ky, kx)
    return phase


def beam_tilt_phase(
    ky: Tensor, kx: Tensor, *, beam_tilt: Tensor, voltage: Tensor, spherical_aberration: Tensor
) -> Tensor:
    r"""Return the axial coma of a tilted beam, an antisymmetric phase.

    .. math::
        a(k) = -2\pi C_s \lambda^2 k^2\, (t \cdot k)

    Parameters
    ----------
    ky, kx : tensors
        Frequencies in cycles per A that broadcast to (N, H) or (B, N, H).
    beam_tilt : (B, 2) tensor
        Tilt t along x and y in mrad.
    voltage : (B,) tensor
        Acceleration voltage in kV.
    spherical_aberration : (B,) tensor
        In mm.

    Returns
    -------
    (B, N, H) tensor
        Phase in rad.
    """
    strength = spherical_aberration * _ANGSTROM_PER_MM * electron_wavelength(voltage).square()
    x, y = (-2 * math.pi * _RADIAN_PER_MRAD * strength[:, None] * beam_tilt).unbind(1)
    return (kx.square() + ky.square()) * (_column(x) * kx + _column(y) * ky)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
