"""The vitreous ice in which the particles lie: an uneven potential that blurs what is seen of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import gemmi
import numpy as np
import torch

from cryoalign.errors import within
from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2
from cryoalign.physics.potential import VOLTS_PER_SCATTERING_DENSITY

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_AVOGADRO_PER_CUBIC_ANGSTROM = 0.602214076  # molecules per A^3 in one mol per cm^3
_MOLAR_MASS = 18.01528  # g per mol of water


@dataclass(frozen=True, kw_only=True)
class Ice(ABC):
    """A slab of vitreous ice about the particle's plane.

    The mean of its potential shifts the phase of all electrons alike and is left out: what is drawn is its
    unevenness.

    Parameters
    ----------
    thickness : float
        In A.
    density : float
        In g per cm^3; 0.94 is that of low-density amorphous ice.
    bfactor : float
        Of the molecules in A^2: the motion of the water under the beam, which blurs it far more than the
        particle.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    thickness: float = 300.0
    density: float = 0.94
    bfactor: float = 0.0

    def __post_init__(self) -> None:
        for name, most, unit in (("thickness", 1e5, "A"), ("density", 10, "g/cm^3"), ("bfactor", 1e5, "A^2")):
            within(f"solvent.{name}", getattr(self, name), 0, most, unit=unit)

    @property
    def number_density(self) -> float:
        """Molecules per A^3."""
        return self.density / _MOLAR_MASS * _AVOGADRO_PER_CUBIC_ANGSTROM

    def draw(
        self,
        rng: np.random.Generator,
        box: int,
        pixel_size: float,
        *,
        count: int = 1,
        slice_thickness: float = float("inf"),
    ) -> Tensor:
        """Draw the projected potential of the slab, slice by slice.

        Parameters
        ----------
        rng : numpy.random.Generator
            Of one particle.
        box : int
            Size n of the field in px.
        pixel_size : float
            Of the field in A.
        count : int
            Number of slices S, symmetric about the particle's centre.
        slice_thickness : float
            Of a slice in A. Ice beyond the outermost slices is added to these.

        Returns
        -------
        (S, n, n) float32 tensor
            In V A, of mean zero on average.
        """
        grains = self._grains(rng, box, pixel_size, self._depths(count, slice_thickness))
        return irfft2(rfft2(torch.from_numpy(grains)) * _kernel(self, box, pixel_size), box)

    def _depths(self, count: int, slice_thickness: float) -> NDArray[np.float64]:
        """Return (S,) the thickness of the ice in each slice in A."""
        if count == 1:
            return np.array([self.thickness])
        edges = (np.arange(count + 1) - count / 2) * slice_thickness
        edges[0], edges[-1] = min(edges[0], -self.thickness / 2), max(edges[-1], self.thickness / 2)
        inside = np.clip(edges, -self.thickness / 2, self.thickness / 2)
        depths: NDArray[np.float64] = np.diff(inside)
        return depths

    def molecule(self, frequency: Tensor) -> Tensor:
        """Return the transform of the potential of one molecule in V A^3.

        The sum of its atoms' electron scattering factors (International Tables C, 4.3.2.2): at frequencies
        below 1/3 A a molecule is a point.

        Parameters
        ----------
        frequency : tensor
            In 1/A.

        Returns
        -------
        tensor
            Of the same shape.
        """
        square = frequency.square()
        total = torch.zeros_like(square)
        for element, number in (("O", 1), ("H", 2)):
            table = gemmi.Element(element).c4322
            if table is None:
                raise ValueError(f"gemmi has no electron scattering factor for {element}")
            for a, b in zip(table.a, table.b, strict=True):
                total += number * a * torch.exp(-b / 4 * square)
        return VOLTS_PER_SCATTERING_DENSITY * total * torch.exp(-self.bfactor / 4 * square)

    @abstractmethod
    def _grains(
        self, rng: np.random.Generator, box: int, pixel_size: float, depths: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Draw (S, n, n) white noise for layers of these depths in A."""

    @abstractmethod
    def _shape(self, frequency: Tensor, pixel_size: float) -> Tensor:
        """Return the transform in V A that makes the potential of the noise."""


@lru_cache(maxsize=4)
def _kernel(ice: Ice, box: int, pixel_size: float) -> Tensor:
    """(n, n // 2 + 1) transform of the noise, the same for all particles of an optics group."""
    ky, kx = frequency_grid(box, pixel_size)
    return ice._shape(torch.hypot(ky, kx), pixel_size)


@dataclass(frozen=True, kw_only=True)
class IceNoise(Ice):
    r"""Ice as Gaussian noise with the spectrum of amorphous ice.

    The projected potential of a layer of thickness t has the power :math:`n\,t\,|v(k)|^2 S(k)` per area, with
    n molecules per A^3, v the transform of one molecule's potential and S the structure factor (the idea of
    Parkhurst et al. 2021, doi:10.1098/rsob.210160), here

    .. math::
        S(k) = 1 - (1 - S_0)\, e^{-(k/k_c)^2} + h\, e^{-(k - k_1)^2 / 2 w^2}

    which is low where the ice cannot be compressed and has the first halo of amorphous ice at 3.7 A.

    Parameters
    ----------
    compressibility : float
        S_0, the structure factor at zero frequency.
    correlation : float
        1/k_c in A: beyond this distance molecules know nothing of each other.
    halo : float
        Spacing 1/k_1 of the first halo in A.
    halo_height, halo_width : float
        h, and w in 1/A.
    """

    compressibility: float = 0.06
    correlation: float = 4.5
    halo: float = 3.7
    halo_height: float = 1.0
    halo_width: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        within("solvent.compressibility", self.compressibility, 0, 10)
        within("solvent.correlation", self.correlation, 0, 1e3, unit="A")
        within("solvent.halo", self.halo, 0.1, 1e3, unit="A")
        within("solvent.halo_height", self.halo_height, 0, 100)
        within("solvent.halo_width", self.halo_width, 1e-4, 10, unit="1/A")

    def structure_factor(self, frequency: Tensor) -> Tensor:
        """Return S at frequencies in 1/A."""
        falling = (1 - self.compressibility) * torch.exp(-(frequency * self.correlation).square())
        ring = self.halo_height * torch.exp(-((frequency - 1 / self.halo) / self.halo_width).square() / 2)
        return 1 - falling + ring

    def _grains(
        self,
        rng: np.random.Generator,
        box: int,
        pixel_size: float,  # noqa: ARG002  the noise of a pixel does not depend on its size, the transform does
        depths: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        noise = rng.standard_normal((len(depths), box, box), dtype=np.float32)
        noise *= np.sqrt(depths, dtype=np.float32)[:, None, None]
        return noise

    def _shape(self, frequency: Tensor, pixel_size: float) -> Tensor:
        power = self.number_density * self.structure_factor(frequency)
        return self.molecule(frequency) * power.sqrt() / pixel_size


@dataclass(frozen=True, kw_only=True)
class IceMolecules(Ice):
    """Ice as molecules at random places, independent of each other.

    Their number in each pixel's column is a Poisson number, which is the same as placing each of them
    anywhere and rounding to the pixel. Independent molecules pack unevenly: this ice has S = 1, more noise
    at low frequency than `IceNoise` or real ice.
    """

    def _grains(
        self, rng: np.random.Generator, box: int, pixel_size: float, depths: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        expected = self.number_density * depths[:, None, None] * pixel_size**2
        return (rng.poisson(expected, (len(depths), box, box)) - expected).astype(np.float32)

    def _shape(self, frequency: Tensor, pixel_size: float) -> Tensor:
        return self.molecule(frequency) / pixel_size**2
