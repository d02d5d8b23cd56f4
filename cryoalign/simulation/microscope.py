"""What an experiment adds to a clean image: solvent, envelope, dose, detector, a gradient, a neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import InputError
from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Microscope:
    r"""Turn the weak-phase contrast of particles into images as they are extracted: inverted, in counts.

    With n = `dose` x pixel area the electrons that a pixel expects, it counts

    .. math::
        \lambda = n\,(1 - E * (c + \mathrm{CTF} * w)), \qquad
        e = (1 + g \cdot r)\,(\mathrm{MTF} * \lambda)
            + \mathrm{MTF} * \bigl(\sqrt{(1 + g \cdot r)\,\lambda}\, z_1\bigr) + \rho \sqrt{n}\, z_2

    and the image is ``offset - gain * e``: protein is white, as RELION wants it. c is the contrast; w the
    solvent, Gaussian with power `solvent` / (dose (1 + (k `solvent_length`)^2)), which passes the CTF as the
    particle does; E the envelope exp(-B k^2/4); g the gradient; z white noise. The modulation transfer
    1 / (1 + (1/`mtf` - 1) (k/Nyquist)^2) shapes signal and shot noise, as an integrating detector's does
    (after Vulovic et al. 2013, doi:10.1016/j.jsb.2013.05.008). Shot noise is Gaussian of Poisson variance:
    with some ten electrons a pixel the two look alike, and a Gaussian image changes smoothly with its input,
    where a Poisson generator's rejections would turn a rounding error into another image.

    Parameters
    ----------
    dose : float
        Electrons per A^2.
    phase : float
        Standard deviation in rad of the specimen's phase shift over the circle that holds it; see `contrast`.
    solvent : float
        Power of the solvent at zero frequency, before the CTF, relative to that of the shot noise.
    solvent_length : float
        Resolution in A at which the solvent's power is half of that.
    bfactor : float
        B in A^2, of the envelope.
    mtf : float
        Modulation transfer at Nyquist, 0 to 1.
    readout : float
        rho, the standard deviation of the white readout noise relative to the shot noise.
    gradient : float
        Standard deviation of the relative change of intensity from the box centre to its edge.
    neighbours : float
        Fraction of the images in which another particle shows at the edge.
    neighbour_distance : tuple of float
        Least and largest distance of its centre from the box centre, as fractions of the box.
    gain : float
        Counts per electron.
    offset : float
        Added to every pixel, in counts.

    Raises
    ------
    InputError
        If a parameter lies outside its range.
    """

    dose: float = 40.0
    phase: float = 0.016
    solvent: float = 4.0
    solvent_length: float = 8.0
    bfactor: float = 120.0
    mtf: float = 0.45
    readout: float = 0.15
    gradient: float = 0.008
    neighbours: float = 0.3
    neighbour_distance: tuple[float, float] = (0.58, 0.72)
    gain: float = 2.5
    offset: float = 3000.0

    def __post_init__(self) -> None:
        near, far = self.neighbour_distance
        object.__setattr__(self, "neighbour_distance", (float(near), float(far)))
        positive = ("dose", "gain")
        least = ("phase", "solvent", "solvent_length", "bfactor", "readout", "gradient")
        wrong = [name for name in positive if not getattr(self, name) > 0]
        wrong += [name for name in least if not getattr(self, name) >= 0]
        wrong += [] if 0 < self.mtf <= 1 else ["mtf"]
        wrong += [] if 0 <= self.neighbours <= 1 else ["neighbours"]
        wrong += [] if 0 <= near <= far else ["neighbour_distance"]
        if wrong:
            raise InputError(
                "a parameter of the microscope is out of range",
                found=", ".join(f"{name}={getattr(self, name)}" for name in wrong),
                remedy="correct it in the configuration",
            )

    def contrast(self, volume: Tensor, radius: float) -> float:
        """Find what turns grey values of a weak-phase image into relative intensity.

        The intensity behind a weak phase object is 1 - 2 CTF * phase; the phase is the projected density
        times the factor that gives it the standard deviation `phase` inside the specimen's circle, on average
        over the three axes.

        Parameters
        ----------
        volume : (N, N, N) tensor
            Density of any unit, sampled at the images' pixel size.
        radius : float
            Radius of the circle in px.

        Returns
        -------
        float
            To be multiplied with the images.
        """
        box = volume.shape[-1]
        inside = disc(box, radius, device=volume.device)
        spread = torch.stack([volume.double().sum(axis)[inside].std() for axis in range(3)]).mean()
        return 2 * self.phase / float(spread)

    def expose(
        self, contrast: Tensor, ctf: Tensor, pixel_size: float, generators: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Take images.

        Parameters
        ----------
        contrast : (B, N, N) tensor
            Relative contrast of what is in the field, CTF applied, protein positive.
        ctf : (B, N, N // 2 + 1) tensor
            CTF of each image, for the solvent.
        pixel_size : float
            In A.
        generators : sequence of numpy.random.Generator
            One an image, so that its noise is its own whatever the batch.

        Returns
        -------
        raw : (B, N, N) float32 tensor
            The images.
        truth : (B, N, N) float32 tensor
            The same without solvent, shot and readout noise: their expectation.
        """
        box = contrast.shape[-1]
        electrons = self.dose * pixel_size**2
        draws = np.stack([rng.standard_normal((3, box, box), dtype=np.float32) for rng in generators])
        solvent, shot, readout = torch.from_numpy(draws).to(contrast).unbind(1)
        slopes = np.stack([rng.normal(0.0, self.gradient, 2) for rng in generators])
        ramp = _ramp(box, torch.from_numpy(slopes).to(contrast))
        frequency = _frequency(box, pixel_size).to(contrast)
        envelope, transfer = self._envelope(frequency), self._mtf(frequency, pixel_size)
        colour = ctf * (self._solvent_power(frequency) / electrons).sqrt()
        clean = electrons * (1 - irfft2(rfft2(contrast) * envelope, box))
        arriving = clean - electrons * irfft2(rfft2(solvent) * colour * envelope, box)
        # The ramp goes on after the detector: filtered with it, the box's opposite edges would mix.
        signal = irfft2(rfft2(arriving) * transfer, box) * ramp
        noise = irfft2(rfft2((arriving * ramp).clamp_min(0).sqrt() * shot) * transfer, box)
        counted = signal + noise + self.readout * electrons**0.5 * readout
        expected = irfft2(rfft2(clean) * transfer, box) * ramp
        return self.offset - self.gain * counted, self.offset - self.gain * expected

    def noise_power(self, ctf: Tensor, box: int, pixel_size: float) -> Tensor:
        """Give the expected power |F|^2 of the noise of an image without gradient, in counts^2.

        Parameters
        ----------
        ctf : (..., N, N // 2 + 1) tensor
            CTF of the images.
        box : int
            N in px.
        pixel_size : float
            In A.

        Returns
        -------
        (..., N, N // 2 + 1) tensor
            Of the unnormalized FFT.
        """
        frequency = _frequency(box, pixel_size).to(ctf)
        solvent = self._solvent_power(frequency) * (ctf * self._envelope(frequency)) ** 2
        power = self._mtf(frequency, pixel_size) ** 2 * (1 + solvent) + self.readout**2
        return self.gain**2 * self.dose * pixel_size**2 * box**2 * power

    def _envelope(self, frequency: Tensor) -> Tensor:
        return torch.exp(-self.bfactor / 4 * frequency**2)

    def _mtf(self, frequency: Tensor, pixel_size: float) -> Tensor:
        return 1 / (1 + (1 / self.mtf - 1) * (2 * pixel_size * frequency) ** 2)

    def _solvent_power(self, frequency: Tensor) -> Tensor:
        return self.solvent / (1 + (self.solvent_length * frequency) ** 2)


def disc(box: int, radius: float, *, device: torch.device | str | None = None) -> Tensor:
    """Select the pixels inside a circle about the box centre.

    Parameters
    ----------
    box : int
        N in px.
    radius : float
        In px.
    device : torch.device or str, optional
        Where to make it.

    Returns
    -------
    (N, N) bool tensor
    """
    axis = torch.arange(box, device=device) - box // 2
    return axis[:, None] ** 2 + axis**2 <= radius**2


def place(image: Tensor, offset: tuple[int, int]) -> Tensor:
    """Move an image by whole pixels; what leaves the box is lost, what enters is zero.

    Parameters
    ----------
    image : (N, N) tensor
        Axes [y, x].
    offset : tuple of int
        Movement in px, as (x, y).

    Returns
    -------
    (N, N) tensor
    """
    box = image.shape[-1]
    moved = torch.zeros_like(image)
    x, y = offset
    if max(abs(x), abs(y)) < box:
        to_x, to_y = slice(max(x, 0), box + min(x, 0)), slice(max(y, 0), box + min(y, 0))
        from_x, from_y = slice(max(-x, 0), box + min(-x, 0)), slice(max(-y, 0), box + min(-y, 0))
        moved[to_y, to_x] = image[from_y, from_x]
    return moved


def _frequency(box: int, pixel_size: float) -> Tensor:
    """Give (N, N // 2 + 1) frequencies in 1/A."""
    ky, kx = frequency_grid(box, pixel_size)
    return (ky**2 + kx**2).sqrt()


def _ramp(box: int, slopes: Tensor) -> Tensor:
    """Give (B, N, N) planes: 1 at the box centre, changing by `slopes` (x, y) up to the edge."""
    axis = (torch.arange(box) - box // 2).to(slopes) / (box / 2)
    return 1 + slopes[:, 0, None, None] * axis + slopes[:, 1, None, None] * axis[:, None]
