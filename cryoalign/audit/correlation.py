"""The correlation of simulated and measured images in whitened rings, and its statistics over pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from cryoalign.data.groups import number_groups
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.half_plane import half_plane, product, squared
from cryoalign.physics.mask import soft_circle
from cryoalign.physics.spectrum import ring_count, ring_mean, ring_sum

Vector = NDArray[np.float64]

#: Smooth changes of contrast with frequency that a pair may show without being wrong: exp(-b u^2), u the
#: normalized radius.
ENVELOPES = (-1.5, 0.0, 1.5, 3.0, 6.0, 12.0)
#: Edges of the frequency bands that are reported, as normalized radii.
BANDS = (0.0, 0.125, 0.25, 0.5, 1.0)
_FEWEST_GROUPS = 8  # below, a standard error over groups means nothing
_EDGE = 0.15  # width of the mask's soft edge, as a fraction of half the box


@dataclass(frozen=True)
class Rings:
    """Sums over rings for each image of a set.

    Attributes
    ----------
    cross : (n, R) float64
        Real part of the whitened product of sim and raw.
    power : (n, R) float64
        Whitened power of sim.
    """

    cross: Vector
    power: Vector


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its standard error.

    Attributes
    ----------
    mean, error : float
    freedom : int
        Degrees of freedom of `error`.
    """

    mean: float
    error: float
    freedom: int

    @property
    def sigma(self) -> float:
        """Mean in units of its standard error; 0 where there is no spread."""
        return self.mean / self.error if self.error > 0 else 0.0

    @property
    def chance(self) -> float:
        """Probability of as high a mean by chance, after Student's t."""
        return float(stats.t.sf(self.sigma, self.freedom)) if self.error > 0 else 1.0


def estimate(values: Vector, groups: NDArray[np.int64]) -> Estimate:
    """Return the mean of values that are alike within groups.

    The error is that of independent groups: images of one micrograph share noise and CTF. With fewer than
    eight groups the images count as independent.

    Parameters
    ----------
    values : (n,) float64
    groups : (n,) int64
        Number of the group of each value.
    """
    mean = float(values.mean())
    index = number_groups(groups)
    count = int(index.max()) + 1
    if count < _FEWEST_GROUPS:
        index, count = np.arange(len(values)), len(values)
    sums = np.bincount(index, values - mean, minlength=count)
    error = float(np.sqrt(count / max(count - 1, 1) * np.square(sums).sum()) / len(values))
    return Estimate(mean, error, max(count - 1, 1))


class Scorer:
    """Measured images, masked and whitened, to be held against templates.

    Each raw image is brought to mean 0 and standard deviation 1 inside a soft circle, masked, and
    transformed; the mean of all is taken away, as it would correlate with any particle; and every ring is
    divided by the root of its mean power, so that rings of equal noise count alike. A template is correlated
    with the masked raw image, which equals the correlation inside the mask.

    Parameters
    ----------
    raws : (n, N, N) float32 tensor
    radius : float
        Radius of the circle as a fraction of half the box.
    """

    def __init__(self, raws: torch.Tensor, radius: float = 0.9) -> None:
        self.box = raws.shape[-1]
        mask = soft_circle(self.box, radius, _EDGE)
        share = mask / mask.sum()
        centred = raws - (raws * share).sum((-2, -1), keepdim=True)
        spread = (centred.square() * share).sum((-2, -1), keepdim=True).sqrt()
        spectra = rfft2(centred / spread * mask)
        self.mean = spectra.mean(0)
        spectra = spectra - self.mean
        noise = ring_mean(squared(spectra), self.box).mean(0)
        self.noise = spread_rings(noise, self.box).clamp_min(float(noise[1:].min()) * 1e-6)
        self.spectra = spectra / self.noise
        self.raw_power = _numpy(ring_sum(squared(spectra) / self.noise, self.box))

    def rings(self, templates: torch.Tensor) -> Rings:
        """Multiply templates with the raw images, row by row.

        Parameters
        ----------
        templates : (n, N, N // 2 + 1) complex tensor
            Half planes; their mean is taken away.
        """
        templates = templates - templates.mean(0)
        cross, power = product(templates, self.spectra), squared(templates) / self.noise
        return Rings(_numpy(ring_sum(cross, self.box)), _numpy(ring_sum(power, self.box)))

    def matrix(self, templates: torch.Tensor, envelope: float) -> Vector:
        """Correlate every measured image with every template.

        Parameters
        ----------
        templates : (m, N, N // 2 + 1) complex tensor
        envelope : float
            See `correlation`.

        Returns
        -------
        (n, m) float64
        """
        shaped = self._shape(templates, envelope)
        norm = _numpy(squared(shaped).flatten(1).sum(1))[None] * self.raw_power[:, 1:].sum(1)[:, None]
        weighted = self.spectra * self.noise.sqrt() * _half_plane_weights(self.box).sqrt()
        matrix: Vector = _numpy(_flat(weighted) @ _flat(shaped).T) / np.sqrt(norm)
        return matrix

    def likeness(self, a: torch.Tensor, b: torch.Tensor, envelope: float) -> float:
        """Mean correlation of two sets of templates, row by row, as this scorer weights them."""
        one, other = self._shape(a, envelope), self._shape(b, envelope)
        cross = product(one, other).flatten(1).sum(1)
        norm = (squared(one).flatten(1).sum(1) * squared(other).flatten(1).sum(1)).sqrt()
        return float((cross / norm.clamp_min(1e-30)).mean())

    def average_correlation(self, templates: torch.Tensor) -> Vector:
        """(n,) correlation of each measured image, its set's mean included, with the templates' mean."""
        mean = templates.mean(0)
        whole = self.spectra + self.mean / self.noise
        cross = _numpy(ring_sum(product(mean, whole), self.box))[:, 1:].sum(1)
        power = _numpy(ring_sum(squared(mean) / self.noise, self.box))[1:].sum()
        raw = _numpy(ring_sum(squared(whole) * self.noise, self.box))[:, 1:].sum(1)
        values: Vector = cross / np.sqrt(power * raw)
        return values

    def _shape(self, templates: torch.Tensor, envelope: float) -> torch.Tensor:
        """Subtract the mean and weight as `correlation` does; plain sums over the half plane remain."""
        gain = spread_rings(torch.from_numpy(self._gain(envelope)), self.box)
        return (templates - templates.mean(0)) * (gain * (_half_plane_weights(self.box) / self.noise).sqrt())

    def correlation(self, rings: Rings, envelope: float, band: tuple[float, float] | None = None) -> Vector:
        """Return the correlation of each pair, from -1 to 1.

        Parameters
        ----------
        rings : Rings
        envelope : float
            The template is multiplied by exp(-envelope u^2).
        band : (float, float), optional
            Normalized radii, the lower one excluded; all rings but the zero frequency if not given.

        Returns
        -------
        (n,) float64
        """
        radius = np.arange(ring_count(self.box)) * 2 / self.box
        low, high = band or (0.0, 1.0)
        use = (radius > low) & (radius <= high)
        gain = self._gain(envelope)[use]
        cross = rings.cross[:, use] @ gain
        norm = (rings.power[:, use] @ gain**2) * self.raw_power[:, use].sum(1)
        values: Vector = np.divide(cross, np.sqrt(norm), out=np.zeros_like(cross), where=norm > 0)
        return values

    def best_envelope(self, rings: Rings) -> float:
        """Choose the envelope with the highest mean correlation."""
        return max(ENVELOPES, key=lambda envelope: float(self.correlation(rings, envelope).mean()))

    def _gain(self, envelope: float) -> Vector:
        radius = np.arange(ring_count(self.box)) * 2 / self.box
        gain: Vector = np.exp(-envelope * radius**2)
        return gain


def spread_rings(values: torch.Tensor, box: int) -> torch.Tensor:
    """Spread the values of rings over the half plane.

    Parameters
    ----------
    values : (R,) tensor
    box : int
        N in px.

    Returns
    -------
    (N, N // 2 + 1) float32 tensor
        On each ring its value; in the corners that of the last one.
    """
    return values[half_plane(box).ring.clamp(max=len(values) - 1)].float()


def _half_plane_weights(box: int) -> torch.Tensor:
    """Return each entry's count in the full plane; 0 for the origin and the corners."""
    plane = half_plane(box)
    return plane.weight.float() * ((plane.ring > 0) & (plane.ring < ring_count(box)))


def _flat(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(values).flatten(1)


def _numpy(values: torch.Tensor) -> Vector:
    array: Vector = values.double().numpy()
    return array
