r"""Electrons through a thick specimen: transmission, Fresnel propagation, lens, intensity.

After Cowley & Moodie (1957, doi:10.1107/S0365110X57002194); Kirkland, *Advanced Computing in Electron
Microscopy* (2020, doi:10.1007/978-3-030-33260-0), has the formulas with the same signs.

A wave travels along +z as exp(+2 pi i z / lambda). A positive potential advances its phase, so transmission
is exp(+i sigma V); free space over a distance t multiplies its transform by exp(-i pi lambda t k^2); the lens
multiplies it by exp(+i chi) with chi = pi lambda df k^2 - ... as in `cryoalign.physics.ctf`: underfocus is
positive, and looks at a plane that lies upstream of the specimen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from scipy.constants import c, e, m_e

from cryoalign.physics.ctf import electron_wavelength
from cryoalign.physics.fourier import magnify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

_REST_ENERGY = m_e * c**2 / e  # in eV
_ANGSTROM_PER_MM = 1e7


def interaction_constant(voltage: Tensor) -> Tensor:
    """Return the phase that electrons gain in a projected potential.

    sigma = 2 pi m e lambda / h^2 with the relativistic mass; that is
    2 pi / (lambda U) (m c^2 + e U) / (2 m c^2 + e U).

    Parameters
    ----------
    voltage : tensor
        Acceleration voltage in kV.

    Returns
    -------
    tensor
        In rad / (V A), of the same shape.
    """
    volts = voltage * 1e3
    relativity = (_REST_ENERGY + volts) / (2 * _REST_ENERGY + volts)
    return 2 * math.pi / (electron_wavelength(voltage) * volts) * relativity


def transmission(projected: Tensor, voltage: Tensor, amplitude_contrast: Tensor) -> Tensor:
    r"""Compute what a thin slice does to the wave.

    .. math:: t = \exp\!\bigl(i \sigma V e^{i \arcsin Q}\bigr)
                = \exp\!\bigl(\sigma V (i \sqrt{1 - Q^2} - Q)\bigr)

    Amplitude contrast Q is an absorptive potential in proportion to V, which in the limit of weak scattering
    gives an image with the transfer sin(chi + asin Q).

    Parameters
    ----------
    projected : (B, N, N) real tensor
        Potential integrated over the slice, in V A.
    voltage : (B,) tensor
        In kV.
    amplitude_contrast : (B,) tensor
        Fraction Q, 0 to 1.

    Returns
    -------
    (B, N, N) complex tensor
    """
    sigma = interaction_constant(voltage).to(projected.dtype)
    contrast = amplitude_contrast.to(projected.dtype)
    phase = _column(sigma * torch.sqrt(1 - contrast.square())) * projected
    return torch.polar(torch.exp(_column(-sigma * contrast) * projected), phase)


def propagator(ky: Tensor, kx: Tensor, *, distance: float, voltage: Tensor) -> Tensor:
    r"""Compute the Fresnel propagator exp(-i pi lambda t k^2).

    Parameters
    ----------
    ky, kx : (B, N, 1) and (B, 1, N), or (B, N, N) tensors
        Frequencies in cycles per A, as `full_grid` gives them.
    distance : float
        t in A, positive downstream.
    voltage : (B,) tensor
        In kV.

    Returns
    -------
    (B, N, N) complex tensor
    """
    phase = _column(-math.pi * distance * electron_wavelength(voltage)) * (kx.square() + ky.square())
    return torch.polar(torch.ones_like(phase), phase)


def band_limit(box: int, fraction: float, *, device: torch.device | str | None = None) -> Tensor:
    """Return a mask of the frequencies up to a fraction of Nyquist.

    With 2/3 the product of two functions so limited folds nothing back into what is marked.

    Parameters
    ----------
    box : int
        N in px.
    fraction : float
    device
        Of the result.

    Returns
    -------
    (N, N) boolean tensor
        In the order of `torch.fft.fft2`.
    """
    index = torch.fft.fftfreq(box, 1 / box, device=device)
    return torch.hypot(index[:, None], index) <= fraction * box / 2 + 1e-3


def exit_wave(
    slices: Iterable[Tensor], free: Tensor, *, voltage: Tensor, amplitude_contrast: Tensor
) -> Tensor:
    """Send a plane wave of amplitude 1 through slices of a potential.

    Parameters
    ----------
    slices : iterable of (B, N, N) real tensors
        Projected potentials in V A, in the order in which the electrons meet them. A generator keeps one of
        them in memory at a time; ``stack.unbind(1)`` makes an iterable of a (B, S, N, N) stack.
    free : (B, N, N) complex tensor
        `propagator` from one slice to the next, times `band_limit` if there is one.
    voltage, amplitude_contrast : (B,) tensor
        In kV, and as a fraction.

    Returns
    -------
    (B, N, N) complex tensor
        The wave right behind the last slice.

    Raises
    ------
    ValueError
        There are no slices.
    """
    wave: Tensor | None = None
    for projected in slices:
        passed = transmission(projected, voltage, amplitude_contrast)
        wave = passed if wave is None else torch.fft.ifft2(torch.fft.fft2(wave) * free) * passed
    if wave is None:
        raise ValueError("a wave needs at least one slice to pass")
    return wave


def lens(
    ky: Tensor,
    kx: Tensor,
    *,
    defocus: Tensor,
    voltage: Tensor,
    spherical_aberration: Tensor,
    phase_shift: Tensor,
    bfactor: Tensor,
    scale: Tensor,
    extra_phase: Tensor | None = None,
) -> Tensor:
    r"""Compute the transfer of the objective lens for scattered electrons.

    .. math:: H(k) = s\, e^{-B k^2 / 4} \exp\!\left(i \left[\pi\lambda\, \Delta f(\phi)\, k^2
            - \tfrac{\pi}{2} C_s \lambda^3 k^4 + \varphi + \gamma(k) \right]\right)

    with the defocus of `cryoalign.physics.ctf.ctf`, whose sine and envelope it shares.

    Parameters
    ----------
    ky, kx : (B, N, 1) and (B, 1, N), or (B, N, N) tensors
        Frequencies in cycles per A, as `full_grid` gives them.
    defocus : (B, 3) tensor
        U and V in A, underfocus positive, relative to the plane of the exit wave; azimuth of U in degrees.
    voltage, spherical_aberration : (B,) tensor
        In kV and mm.
    phase_shift : (B,) tensor
        Of a phase plate, in degrees.
    bfactor : (B,) tensor
        In A^2.
    scale : (B,) tensor
        Factor s.
    extra_phase : (B, N, N) tensor, optional
        gamma(k) in rad: further aberrations, odd or even.

    Returns
    -------
    (B, N, N) complex tensor
    """
    k2 = kx.square() + ky.square()
    mean = (defocus[:, 0] + defocus[:, 1]) / 2
    half_difference = (defocus[:, 0] - defocus[:, 1]) / 2
    azimuth = torch.deg2rad(defocus[:, 2])
    along, across = half_difference * torch.cos(2 * azimuth), half_difference * torch.sin(2 * azimuth)
    # defocus(phi) k^2 = a kx^2 + b kx ky + c ky^2
    phase = _column(mean + along) * kx.square() + _column(2 * across) * (kx * ky)
    phase = phase + _column(mean - along) * ky.square()
    wavelength = electron_wavelength(voltage)
    spherical = math.pi / 2 * spherical_aberration * _ANGSTROM_PER_MM * wavelength**3
    phase = _column(math.pi * wavelength) * phase - _column(spherical) * k2.square()
    phase = phase + _column(torch.deg2rad(phase_shift))
    if extra_phase is not None:
        phase = phase + extra_phase
    return torch.polar(_column(scale) * torch.exp(_column(-bfactor / 4) * k2), phase)


def intensity(wave: Tensor, transfer: Tensor, unscattered: Tensor | float = 1.0) -> Tensor:
    r"""Form the image of an exit wave.

    .. math:: I = \bigl|\psi_0 + F^{-1}[H\, F(\psi - \psi_0)]\bigr|^2

    The unscattered beam psi_0 meets no aberration and lies outside a phase plate's shift and the envelope.

    Parameters
    ----------
    wave : (B, N, N) complex tensor
        `exit_wave`.
    transfer : (B, N, N) complex tensor
        `lens`.
    unscattered : (B,) complex tensor or float
        psi_0.

    Returns
    -------
    (B, N, N) real tensor
        Relative to the incident intensity.
    """
    beam = torch.as_tensor(unscattered, device=wave.device, dtype=wave.dtype).reshape(-1, 1, 1)
    image = torch.fft.ifft2(torch.fft.fft2(wave - beam).mul_(transfer)).add_(beam)
    relative: Tensor = image.real.square() + image.imag.square()
    return relative


def full_grid(box: int, pixel_size: Tensor, magnification: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the spatial frequencies of a full plane.

    Parameters
    ----------
    box : int
        N in px.
    pixel_size : (B,) tensor
        In A.
    magnification : (B, 2, 2) tensor, optional
        See `cryoalign.physics.fourier.magnify`.

    Returns
    -------
    ky, kx : (B, N, 1) and (B, 1, N), or (B, N, N) tensors
        In cycles per A, in the order of `torch.fft.fft2`.
    """
    axis = torch.fft.fftfreq(box, device=pixel_size.device, dtype=pixel_size.dtype) / pixel_size[:, None]
    ky, kx = axis[:, :, None], axis[:, None, :]
    return (ky, kx) if magnification is None else magnify(ky, kx, magnification)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
