"""How partial coherence and blurring weaken the high frequencies of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cryoalign.errors import within
from cryoalign.physics.ctf import electron_wavelength

if TYPE_CHECKING:
    from torch import Tensor

_ANGSTROM_PER_MM = 1e7


@dataclass(frozen=True, kw_only=True)
class Envelope:
    r"""The envelope of a microscope's transfer.

    .. math::
        E(k) = e^{-B k^2/4}\;
            \exp\!\Bigl(-\tfrac{\pi^2\alpha^2}{\lambda^2}(C_s\lambda^3 k^3 - \Delta f\,\lambda k)^2\Bigr)\;
            \exp\!\Bigl(-\tfrac12 (\pi\lambda\delta k^2)^2\Bigr)

    with the convergence alpha of the source and the spread delta of the focus, both of Gaussian form
    (Reimer and Kohl 2008, doi:10.1007/978-0-387-40093-8). The defocus is the mean of U and V.

    Parameters
    ----------
    bfactor : float
        B in A^2: motion, and all that has no name.
    convergence : float
        Half angle alpha at which the illumination has fallen to 1/e, in mrad.
    focal_spread : float
        Standard deviation delta of the focus in A: energy spread, chromatic aberration, instabilities.

    Raises
    ------
    InputError
        If one of them is negative or beyond what is possible by far.
    """

    bfactor: float = 0.0
    convergence: float = 0.0
    focal_spread: float = 0.0

    def __post_init__(self) -> None:
        for name, most, unit in (
            ("bfactor", 1e5, "A^2"),
            ("convergence", 100, "mrad"),
            ("focal_spread", 1e5, "A"),
        ):
            within(f"envelope.{name}", getattr(self, name), 0, most, unit=unit)

    def __call__(
        self, k2: Tensor, *, defocus: Tensor, voltage: Tensor, spherical_aberration: Tensor
    ) -> Tensor:
        """Compute the envelope of each image.

        Parameters
        ----------
        k2 : (B, N, H) tensor
            Squared frequencies in 1/A^2.
        defocus : (B, 3) tensor
            U and V in A; the azimuth is not looked at.
        voltage : (B,) tensor
            In kV.
        spherical_aberration : (B,) tensor
            In mm.

        Returns
        -------
        (B, N, H) tensor
        """
        wavelength = _column(electron_wavelength(voltage))
        exponent = -self.bfactor / 4 * k2
        if self.convergence:
            lens = _column(spherical_aberration * _ANGSTROM_PER_MM) * wavelength**3 * k2
            gradient = (lens - _column(defocus[:, :2].mean(dim=1)) * wavelength) * k2.sqrt()
            exponent = exponent - (math.pi * self.convergence * 1e-3 / wavelength * gradient).square()
        if self.focal_spread:
            exponent = exponent - (math.pi * wavelength * self.focal_spread * k2).square() / 2
        return torch.exp(exponent)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
