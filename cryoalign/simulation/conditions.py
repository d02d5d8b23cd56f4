"""What each particle and its optics group say about its image, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.physics.aberration import beam_tilt_phase, zernike_phase
from cryoalign.physics.ctf import ctf
from cryoalign.physics.fourier import frequency_grid, irfft2, magnify, rfft2
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Particles


@dataclass(frozen=True)
class Conditions:
    """Pose, CTF and optics of some particles, in the units of `Particles` and `Optics`.

    Attributes
    ----------
    rotations : (B, 3, 3) tensor
        Image frame to volume frame.
    shift : (B, 2) tensor
    defocus : (B, 3) tensor
    phase_shift, bfactor, scale : (B,) tensor
    pixel_size, voltage, spherical_aberration, amplitude_contrast : (B,) tensor
    premultiplied : (B,) boolean tensor
    magnification : (B, 2, 2) tensor
    beam_tilt : (B, 2) tensor
    even_zernike, odd_zernike : (B, C) tensor
        Filled up with zeros where groups have fewer coefficients than others.
    """

    rotations: Tensor
    shift: Tensor
    defocus: Tensor
    phase_shift: Tensor
    bfactor: Tensor
    scale: Tensor
    pixel_size: Tensor
    voltage: Tensor
    spherical_aberration: Tensor
    amplitude_contrast: Tensor
    premultiplied: Tensor
    magnification: Tensor
    beam_tilt: Tensor
    even_zernike: Tensor
    odd_zernike: Tensor

    @property
    def area(self) -> Tensor:
        """(B,) area of the image's cell in units of the specimen's: a spectrum at M k lacks this factor."""
        area: Tensor = torch.linalg.det(self.magnification).abs()
        return area

    def aberrations(self, ky: Tensor, kx: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the higher aberrations.

        Parameters
        ----------
        ky, kx : tensors
            Frequencies of the specimen in cycles per A that broadcast to (B, N, H).

        Returns
        -------
        even, odd : (B, N, H) tensor
            In rad. The even phase is subtracted from the phase of the lens, the odd one added to it.
        """
        even = zernike_phase(ky, kx, self.even_zernike, "even")
        odd = zernike_phase(ky, kx, self.odd_zernike, "odd")
        tilt = beam_tilt_phase(
            ky, kx,
            beam_tilt=self.beam_tilt,
            voltage=self.voltage,
            spherical_aberration=self.spherical_aberration,
        )  # fmt: skip
        return even, odd + tilt


def conditions(particles: Particles, index: NDArray[np.int64], device: torch.device) -> Conditions:
    """Gather the conditions of some rows.

    Parameters
    ----------
    particles : Particles
    index : (B,) int64
        0-based rows.
    device
        Of the tensors, which are float32.

    Returns
    -------
    Conditions
    """
    groups = [particles.optics[group] for group in particles.optics_index[index]]

    def tensor(values: ArrayLike) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(device, torch.float32)

    def padded(rows: list[tuple[float, ...]]) -> Tensor:
        longest = max(map(len, rows))
        return tensor([[*row, *[0.0] * (longest - len(row))] for row in rows])

    return Conditions(
        rotations=euler_to_matrix(torch.from_numpy(particles.angles[index])),
        shift=tensor(particles.shift[index]),
        defocus=tensor(particles.defocus[index]),
        phase_shift=tensor(particles.phase_shift[index]),
        bfactor=tensor(particles.ctf_bfactor[index]),
        scale=tensor(particles.ctf_scale[index]),
        pixel_size=tensor([group.pixel_size for group in groups]),
        voltage=tensor([group.voltage for group in groups]),
        spherical_aberration=tensor([group.spherical_aberration for group in groups]),
        amplitude_contrast=tensor([group.amplitude_contrast for group in groups]),
        premultiplied=torch.tensor([group.premultiplied for group in groups], device=device),
        magnification=tensor([group.magnification for group in groups]).reshape(-1, 2, 2),
        beam_tilt=tensor([group.beam_tilt for group in groups]),
        even_zernike=padded([group.even_zernike for group in groups]),
        odd_zernike=padded([group.odd_zernike for group in groups]),
    )


def multiply_by_ctf(images: Tensor, optics: Conditions) -> Tensor:
    """Multiply the images of premultiplied groups by their CTF.

    Parameters
    ----------
    images : (B, N, N) tensor
        As the microscope records them.
    optics : Conditions
        Of the same images.

    Returns
    -------
    (B, N, N) tensor
    """
    if not optics.premultiplied.any():
        return images
    box = images.shape[-1]
    ky, kx = frequency_grid(box, device=images.device)
    ky, kx = ky / optics.pixel_size[:, None, None], kx / optics.pixel_size[:, None, None]
    even, _ = optics.aberrations(*magnify(ky, kx, optics.magnification))
    factor = ctf(
        box,
        optics.pixel_size,
        defocus=optics.defocus,
        voltage=optics.voltage,
        spherical_aberration=optics.spherical_aberration,
        amplitude_contrast=optics.amplitude_contrast,
        phase_shift=optics.phase_shift,
        bfactor=optics.bfactor,
        scale=optics.scale,
        even_phase=even,
        magnification=optics.magnification,
    )
    factor = torch.where(optics.premultiplied[:, None, None], factor, torch.ones_like(factor))
    return irfft2(rfft2(images) * factor, box)
