"""What becomes of the electrons: the contrast that a specimen makes turned into a recorded image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import poisson

from cryoalign.errors import InputError, within
from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Counting:
    r"""A camera that counts electrons, with Poisson noise, a modulation transfer and a quantum efficiency.

    With n = `dose` x pixel area the electrons that a pixel is sent, and the relative contrast c,

    .. math::
        \lambda = \mathrm{DQE}_0\, n\,(1 + g \cdot r)\, A * (1 - c), \qquad
        e = N * \mathrm{Poisson}(\lambda), \qquad
        A = \sqrt{\mathrm{DQE}/\mathrm{DQE}_0}, \quad N = \mathrm{MTF}/A

    (after Vulovic et al. 2013, doi:10.1016/j.jsb.2013.05.008, with the electrons that are lost taken out
    before the Poisson process, so that the squared signal-to-noise ratio is n DQE at every frequency). g is
    the gradient of the illumination, r the position. Curves over the frequency k in units of Nyquist are

    .. math::
        \mathrm{MTF} = \frac{1}{1 + (1/m - 1)\,k^2}, \qquad
        \mathrm{DQE} = \mathrm{DQE}_0 - (\mathrm{DQE}_0 - \mathrm{DQE}_1)\,k^2 .

    The image is e, or -e where protein shall be white.

    Parameters
    ----------
    dose : float
        Electrons per A^2, up to 10,000.
    mtf : float
        m, the modulation transfer at Nyquist, 0.001 to 1.
    dqe : tuple of float
        Quantum efficiency at zero frequency and at Nyquist, each 0.001 to 1.
    gradient : float
        Standard deviation of the relative change of intensity from the box centre to its edge.
    invert : bool
        Make protein white, as RELION wants it and as the images of the ideal detector are.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    dose: float = 40.0
    mtf: float = 0.6
    dqe: tuple[float, float] = (0.9, 0.5)
    gradient: float = 0.0
    invert: bool = True

    def __post_init__(self) -> None:
        if len(tuple(self.dqe)) != 2:
            raise InputError(
                "detector.dqe has to be two numbers",
                expected="[at zero, at Nyquist]",
                found=self.dqe,
                remedy="write detector.dqe=[0.8,0.3], say, or leave it out",
            )
        low, high = self.dqe
        object.__setattr__(self, "dqe", (float(low), float(high)))
        within("detector.dose", self.dose, above=0, most=1e4, unit="electrons per A^2")
        within("detector.gradient", self.gradient, 0, 1)
        for name, value in (("mtf", self.mtf), ("dqe", low), ("dqe", high)):
            within(f"detector.{name}", value, 1e-3, 1)

    def expose(
        self, contrast: Tensor, pixel_size: Tensor, generators: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Record images.

        Parameters
        ----------
        contrast : (B, N, N) tensor
            Relative contrast 1 - I / I_0 of what is in the field: protein positive.
        pixel_size : (B,) tensor
            In A.
        generators : sequence of numpy.random.Generator
            One an image, so that its noise does not depend on the batch.

        Returns
        -------
        recorded : (B, N, N) float32 tensor
            Electrons per pixel.
        expected : (B, N, N) float32 tensor
            The same without Poisson noise.
        """
        box = contrast.shape[-1]
        ky, kx = frequency_grid(box, 0.5)  # in units of Nyquist
        k2 = (ky.square() + kx.square()).to(contrast)
        zero, nyquist = self.dqe
        arriving = ((zero - (zero - nyquist) * k2).clamp_min(1e-3 * nyquist) / zero).sqrt()
        transfer = 1 / (1 + (1 / self.mtf - 1) * k2)
        sent = zero * self.dose * pixel_size.to(contrast)[:, None, None].square()
        slopes = torch.from_numpy(np.stack([rng.normal(0, self.gradient, 2) for rng in generators]))
        # The ramp is multiplied on after filtering: filtered with it, the box's opposite edges would mix.
        ramp, specimen = sent * _ramp(box, slopes.to(contrast)), rfft2(1 - contrast)
        mean = ramp * irfft2(specimen * arriving, box)
        draws = np.stack([rng.random((box, box)) for rng in generators])
        noise = torch.from_numpy(_poisson(draws, mean)).to(contrast) - mean
        expected = ramp * irfft2(specimen * transfer, box)
        recorded = expected + irfft2(rfft2(noise) * transfer / arriving, box)
        sign = -1 if self.invert else 1
        return sign * recorded, sign * expected


def _poisson(draws: NDArray[np.float64], mean: Tensor) -> NDArray[np.float32]:
    """Transform uniform numbers into Poisson ones by the inverse of the distribution.

    One number a pixel, whatever the mean: a rounding error in the mean can change this pixel, and no other,
    where a generator that rejects would give another image.
    """
    counts = poisson.ppf(draws, mean.clamp_min(1e-9).cpu().double().numpy())
    return np.asarray(counts, dtype=np.float32)


def _ramp(box: int, slopes: Tensor) -> Tensor:
    """Return (B, N, N) planes: 1 at the box centre, changing by `slopes` (x, y) up to the edge."""
    axis = (torch.arange(box) - box // 2).to(slopes) / (box / 2)
    return 1 + slopes[:, 0, None, None] * axis + slopes[:, 1, None, None] * axis[:, None]
