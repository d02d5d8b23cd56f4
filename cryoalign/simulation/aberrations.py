"""What the optics groups add to defocus, astigmatism and Cs, for a batch of particles of any groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.physics.aberration import beam_tilt_phase, zernike_phase
from cryoalign.physics.fourier import frequency_grid, magnify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Optics, Particles

_NO_MAGNIFICATION = (1.0, 0.0, 0.0, 1.0)


class Aberrations(NamedTuple):
    """Aberrations of a batch; None where no particle of it has any.

    Attributes
    ----------
    even : (B, N, N // 2 + 1) tensor or None
        Symmetric phase in rad, subtracted inside the sine of the CTF.
    odd : (B, N, N // 2 + 1) tensor or None
        Antisymmetric phase a in rad: the spectrum of the image is multiplied by exp(i a).
    magnification : (B, 2, 2) tensor or None
        Matrices that take the frequencies of the image to those of the specimen.
    """

    even: Tensor | None = None
    odd: Tensor | None = None
    magnification: Tensor | None = None


def aberrations(
    particles: Particles, index: NDArray[np.int64], box: int, device: torch.device | str
) -> Aberrations:
    """Evaluate the aberrations of some rows, once for each optics group among them.

    Parameters
    ----------
    particles : Particles
    index : (B,) int64
        0-based rows.
    box : int
        Box size N of the images in px.
    device : torch.device or str
        Of the result, which is in single precision.

    Returns
    -------
    Aberrations
    """
    used, place = np.unique(particles.optics_index[index], return_inverse=True)
    groups = [particles.optics[group] for group in used]
    magnified = any(group.magnification != _NO_MAGNIFICATION for group in groups)
    with_even = any(any(group.even_zernike) for group in groups)
    with_odd = any(any(group.odd_zernike) or any(group.beam_tilt) for group in groups)
    if not (magnified or with_even or with_odd):
        return Aberrations()

    ky, kx = frequency_grid(box, device=device, dtype=torch.float64)
    pixel_size = _tensor((group.pixel_size for group in groups), device)[:, None, None]
    ky, kx = ky / pixel_size, kx / pixel_size
    row = torch.from_numpy(place).to(device)
    even = odd = matrices = None
    if magnified:
        matrices = _tensor((group.magnification for group in groups), device).reshape(-1, 2, 2)
        ky, kx = magnify(ky, kx, matrices)
        matrices = matrices[row].float()
    if with_even:
        coefficients = _padded((group.even_zernike for group in groups), device)
        even = zernike_phase(ky, kx, coefficients, "even").float()[row]
    if with_odd:
        odd = _odd_phase(ky, kx, groups, device).float()[row]
    return Aberrations(even, odd, matrices)


def without_aberrations(particles: Particles) -> Particles:
    """Give particles whose optics groups have defocus, astigmatism, Cs and phase shift only.

    Parameters
    ----------
    particles : Particles

    Returns
    -------
    Particles
    """
    groups = (
        replace(
            group,
            beam_tilt=(0.0, 0.0),
            odd_zernike=(),
            even_zernike=(),
            magnification=_NO_MAGNIFICATION,
            unmodelled=(),
        )
        for group in particles.optics
    )
    return replace(particles, optics=tuple(groups))


def _odd_phase(ky: Tensor, kx: Tensor, groups: list[Optics], device: torch.device | str) -> Tensor:
    """(G, N, N // 2 + 1) phase of beam tilts and odd Zernikes, which add up."""
    coma = beam_tilt_phase(
        ky,
        kx,
        beam_tilt=_tensor((group.beam_tilt for group in groups), device),
        voltage=_tensor((group.voltage for group in groups), device),
        spherical_aberration=_tensor((group.spherical_aberration for group in groups), device),
    )
    return coma + zernike_phase(ky, kx, _padded((group.odd_zernike for group in groups), device), "odd")


def _padded(coefficients: Iterable[tuple[float, ...]], device: torch.device | str) -> Tensor:
    """(G, C) coefficients, with zeros where a group has fewer than another."""
    rows = list(coefficients)
    count = max(map(len, rows))
    return _tensor(((*row, *(0.0,) * (count - len(row))) for row in rows), device).reshape(len(rows), count)


def _tensor(values: Iterable[float | tuple[float, ...]], device: torch.device | str) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64, device=device)
