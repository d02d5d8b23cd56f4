"""What each particle and its optics group say about its image, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.physics.aberration import beam_tilt_phase, zernike_phase
from cryoalign.physics.ctf import ctf
from cryoalign.physics.fourier import frequency_grid, irfft2, magnify, rfft2
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Optics, Particles

_NO_MAGNIFICATION = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Conditions:
    """Pose, CTF and optics of some particles, in the units of `Particles` and `Optics`.

    Attributes
    ----------
    rotations : (B, 3, 3) float64 tensor
        Image frame to volume frame.
    shift : (B, 2) tensor
    defocus : (B, 3) tensor
    phase_shift, bfactor, scale : (B,) tensor
    pixel_size, voltage, spherical_aberration, amplitude_contrast : (B,) tensor
    premultiplied : (B,) boolean tensor
    magnification : (B, 2, 2) tensor or None
        Matrices that take the frequencies of the image to those of the specimen; None where all are unity.
    groups : tuple of Optics
        The G groups that are used.
    group : (B,) int64 tensor
        Index of each particle's in `groups`.
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
    magnification: Tensor | None
    groups: tuple[Optics, ...]
    group: Tensor

    @property
    def area(self) -> Tensor:
        """(B,) area of the image's cell in units of the specimen's: a spectrum at M k lacks this factor."""
        if self.magnification is None:
            return torch.ones_like(self.pixel_size)
        area: Tensor = torch.linalg.det(self.magnification).abs()
        return area

    def frequencies(self, box: int) -> tuple[Tensor, Tensor]:
        """Return the specimen's frequencies of a half plane.

        Parameters
        ----------
        box : int
            Box size N of the images in px.

        Returns
        -------
        ky, kx : tensors
            In cycles per A; they broadcast to (B, N, N // 2 + 1).
        """
        ky, kx = frequency_grid(box, device=self.pixel_size.device)
        ky, kx = ky / self.pixel_size[:, None, None], kx / self.pixel_size[:, None, None]
        return (ky, kx) if self.magnification is None else magnify(ky, kx, self.magnification)

    def aberrations(self, ky: Tensor, kx: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Evaluate the higher aberrations, once for each optics group.

        Parameters
        ----------
        ky, kx : tensors
            Frequencies of the specimen in cycles per A that broadcast to (B, N, H).

        Returns
        -------
        even, odd : (B, N, H) tensor or None
            In rad; None where no particle has any. The even phase is subtracted from the phase of the lens,
            the odd one added to it.
        """
        rows = [int((self.group == number).nonzero()[0]) for number in range(len(self.groups))]
        ky, kx = ky[rows].double(), kx[rows].double()
        even = odd = None
        if any(any(group.even_zernike) for group in self.groups):
            even = zernike_phase(ky, kx, self._table("even_zernike"), "even").to(self.defocus)[self.group]
        if any(any(group.odd_zernike) or any(group.beam_tilt) for group in self.groups):
            coma = beam_tilt_phase(
                ky, kx,
                beam_tilt=self._table("beam_tilt"),
                voltage=self._table("voltage")[:, 0],
                spherical_aberration=self._table("spherical_aberration")[:, 0],
            )  # fmt: skip
            odd = coma + zernike_phase(ky, kx, self._table("odd_zernike"), "odd")
            odd = odd.to(self.defocus)[self.group]
        return even, odd

    def ctf(self, box: int, even: Tensor | None) -> Tensor:
        """Compute the CTF of each image.

        Parameters
        ----------
        box : int
            Box size N of the images in px.
        even : (B, N, N // 2 + 1) tensor or None
            What `aberrations` gives.

        Returns
        -------
        (B, N, N // 2 + 1) tensor
        """
        return ctf(
            box,
            self.pixel_size,
            defocus=self.defocus,
            voltage=self.voltage,
            spherical_aberration=self.spherical_aberration,
            amplitude_contrast=self.amplitude_contrast,
            phase_shift=self.phase_shift,
            bfactor=self.bfactor,
            scale=self.scale,
            even_phase=even,
            magnification=self.magnification,
        )

    def _table(self, name: str) -> Tensor:
        """(G, C) values of the groups, with zeros where one has fewer than another."""
        rows = [np.atleast_1d(getattr(group, name)) for group in self.groups]
        table = np.zeros((len(rows), max(map(len, rows))))
        for row, values in zip(table, rows, strict=True):
            row[: len(values)] = values
        return torch.from_numpy(table).to(self.defocus.device)


def conditions(particles: Particles, index: NDArray[np.int64], device: torch.device | str) -> Conditions:
    """Gather the conditions of some rows.

    Parameters
    ----------
    particles : Particles
    index : (B,) int64
        0-based rows.
    device : torch.device or str
        Of the tensors, which are float32.

    Returns
    -------
    Conditions
    """
    used, place = np.unique(particles.optics_index[index], return_inverse=True)
    groups = tuple(particles.optics[group] for group in used)

    def tensor(values: ArrayLike) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(device, torch.float32)

    def of_group(name: str) -> Tensor:
        return tensor(np.array([getattr(group, name) for group in groups], dtype=np.float64)[place])

    magnified = any(group.magnification != _NO_MAGNIFICATION for group in groups)
    return Conditions(
        rotations=euler_to_matrix(torch.from_numpy(particles.angles[index])),
        shift=tensor(particles.shift[index]),
        defocus=tensor(particles.defocus[index]),
        phase_shift=tensor(particles.phase_shift[index]),
        bfactor=tensor(particles.ctf_bfactor[index]),
        scale=tensor(particles.ctf_scale[index]),
        pixel_size=of_group("pixel_size"),
        voltage=of_group("voltage"),
        spherical_aberration=of_group("spherical_aberration"),
        amplitude_contrast=of_group("amplitude_contrast"),
        premultiplied=of_group("premultiplied") > 0,
        magnification=of_group("magnification").reshape(-1, 2, 2) if magnified else None,
        groups=groups,
        group=torch.from_numpy(place).to(device),
    )


@dataclass(frozen=True)
class Announced:
    """The range of pixel sizes in A that a simulator was made for."""

    finest: float
    coarsest: float

    @classmethod
    def of(cls, sizes: float | Sequence[float]) -> Announced:
        """Return the range of the pixel sizes of all images that will be asked for."""
        values = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
        return cls(float(values.min()), float(values.max()))

    def rows(self, particles: Particles, rows: ArrayLike | None) -> NDArray[np.int64]:
        """Return the 0-based rows that are meant, all if `rows` is None.

        Raises
        ------
        ValueError
            A particle's pixel size lies outside the range.
        """
        index = np.arange(len(particles)) if rows is None else np.atleast_1d(np.asarray(rows, dtype=np.int64))
        pixel = particles.optics_column("pixel_size")[index]
        if len(pixel) and (pixel.min() < 0.999 * self.finest or pixel.max() > 1.001 * self.coarsest):
            raise ValueError(
                f"made for pixel sizes of {self.finest:g} to {self.coarsest:g} A, "
                f"not {pixel.min():g} to {pixel.max():g} A"
            )
        return index


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
    even, _ = optics.aberrations(*optics.frequencies(box))
    factor = optics.ctf(box, even)
    factor = torch.where(optics.premultiplied[:, None, None], factor, torch.ones_like(factor))
    return irfft2(rfft2(images) * factor, box)


def without_aberrations(particles: Particles) -> Particles:
    """Return particles whose optics groups have defocus, astigmatism, Cs and phase shift only.

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
