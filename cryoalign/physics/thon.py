r"""Thon rings: where they are looked for, and what CTFs of a set of particles add up to.

The mean power spectrum of images is taken as

.. math::
    P(k) = A(|k|) \, \langle \mathrm{CTF}_i^2(k) \rangle_i + B(|k|)

with A and B non-negative and smooth, and the cross spectrum with simulated images of the same particles as
:math:`T(|k|) \langle \mathrm{CTF}_i \mathrm{CTF}_i^0 |X_i|^2 \rangle_i`. Every particle has its own CTF; what
is fitted is an offset on the defocus and the astigmatism of all of them. It adds the same phase
:math:`\delta(k)` to every CTF, so that the mean over the particles is taken once, before the fit:

.. math::
    \langle \sin^2(\chi_i + \delta) \rangle
        = \tfrac12 \left(1 - \mathrm{Re}\, e^{2 i \delta} \langle e^{2 i \chi_i} \rangle \right)

The fits are in `cryoalign.physics.thon_fit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.physics.fourier import frequency_grid, magnify
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike
    from torch import Tensor

_RINGS_A_KNOT = 1.5  # A and B must not bend from ring to ring, or they imitate the rings
_MOST_KNOTS = 7
_PIXELS_AT_ONCE = 2**19
_FALL = 8.0  # logarithm of how far a signal falls in reach


class RingRange(NamedTuple):
    """The frequencies in which rings are looked for.

    Attributes
    ----------
    low, high : float
        In cycles per A.
    rings : float
        How many lie between `low` and `high`: the phase of the CTF over pi.
    past_zero : float
        How many lie between the first zero and `high`; negative if `high` is below the first zero.
    """

    low: float
    high: float
    rings: float
    past_zero: float


def ring_range(
    box: int, pixel_size: float, *, defocus: float, wavelength: float, phase: float = 0.0
) -> RingRange:
    """Choose the frequencies of a fit.

    From 0.6 times the first zero, below which the spectrum is that of the particle's outline, to Nyquist or
    to where two pixels of the transform no longer hold one ring: there the lens moves the signal by a quarter
    of the box.

    Parameters
    ----------
    box : int
        N in px.
    pixel_size : float
        In A.
    defocus : float
        In A.
    wavelength : float
        In A.
    phase : float
        Phase of the CTF at zero frequency, in rad: of the amplitude contrast and a phase plate.

    Returns
    -------
    RingRange
        Without rings, and `low` above `high`, where the lens is too close to focus. The spherical aberration
        is left out.
    """
    strength = wavelength * max(abs(defocus), 1.0)
    first = max(1 - (phase / math.pi) % 1, 0.5)
    low = 0.6 * math.sqrt(first / strength)
    high = min(0.5 / pixel_size, box * pixel_size / (4 * strength))
    rings = max(strength * (high**2 - low**2), 0.0)
    return RingRange(low, high, rings, strength * high**2 - first)


class RingBins:
    """Pieces of rings, each a sector of a ring one pixel wide, and smooth functions on them.

    Parameters
    ----------
    box : int
    pixel_size : float
        In A.
    limits : RingRange
    wavelength : float
        In A.
    magnification : (2, 2) tensor, optional
        Of all images; see `cryoalign.physics.fourier.magnify`.
    sectors : int
        Pieces of half a ring.

    Attributes
    ----------
    pixels : (M,) int64 tensor
        Places of the pixels in a flattened half plane.
    radius : (C,) tensor
        Mean frequency of each bin in cycles per A.
    ring : (C,) int64 tensor
        Number of each bin's ring.
    count : (C,) tensor
        Independent complex values in each bin of one image's transform.
    smooth : (C, K) tensor
        Hats on equally spaced knots.
    fall : (C, 1) tensor
        A fall by some decades, as of a particle's signal, which hats can follow in straight lines only.
    """

    def __init__(
        self,
        box: int,
        pixel_size: float,
        limits: RingRange,
        wavelength: float,
        *,
        magnification: Tensor | None = None,
        sectors: int = 6,
    ) -> None:
        ky, kx = frequency_grid(box, pixel_size, dtype=torch.float64)
        radius, plane = torch.hypot(ky, kx), half_plane(box)
        ring = plane.ring
        inside = (radius >= limits.low) & (radius <= limits.high) & (ring <= box // 2)
        self.pixels = inside.flatten().nonzero()[:, 0]
        sector = ((torch.atan2(ky, kx) / math.pi + 0.5) * sectors).long() % sectors
        names, self._bin = torch.unique((ring * sectors + sector)[inside], return_inverse=True)
        self.ring = names // sectors
        weight = plane.weight[inside]
        self._bins = int(self._bin.max()) + 1 if len(self._bin) else 0
        total = torch.zeros(self._bins, dtype=torch.float64).index_add(0, self._bin, weight)
        self.count = total / 2
        self._share = weight / total[self._bin]

        self._place = ((radius[inside] - limits.low) / (limits.high - limits.low)).clamp(0, 1)
        self.radius = self.mean(radius[inside])
        knots = int(np.clip(round(limits.rings / _RINGS_A_KNOT) + 1, 2, _MOST_KNOTS))
        at = self.mean(self._place)[:, None] * (knots - 1)
        self.smooth = (1 - (at - torch.arange(knots)).abs()).clamp(min=0)
        self.fall = (-_FALL * self.mean(self._place)).exp()[:, None]
        self._degree = min(max(knots - 1, 1), 3)

        if magnification is not None:
            ky, kx = (axis[0] for axis in magnify(ky, kx, magnification.double()[None]))
        ky, kx = ky.expand_as(radius), kx.expand_as(radius)
        terms = torch.stack([kx.square() + ky.square(), kx.square() - ky.square(), 2 * kx * ky])
        self._turn = math.pi * wavelength * terms[:, inside]

    def take(self, plane: Tensor) -> Tensor:
        """Return (..., M) values of a half plane (..., N, N // 2 + 1) that are used."""
        return plane.flatten(-2)[..., self.pixels]

    def mean(self, values: Tensor) -> Tensor:
        """Average (..., M) values over each bin: (..., C)."""
        empty = torch.zeros(*values.shape[:-1], self._bins, dtype=values.dtype)
        return empty.index_add(-1, self._bin, values * self._share)

    def phases(self, offsets: ArrayLike) -> Iterator[Tensor]:
        """Return the phases that offsets of the lens add to every CTF, some at a time.

        Parameters
        ----------
        offsets : (O, 3) array_like
            In A: of the mean defocus, and of half of U - V times the cosine and the sine of twice the
            azimuth.

        Yields
        ------
        (o, M) tensor
            In rad.
        """
        values = torch.as_tensor(np.asarray(offsets, dtype=np.float64)).reshape(-1, 3)
        step = max(_PIXELS_AT_ONCE // max(len(self.pixels), 1), 1)
        for start in range(0, len(values), step):
            yield values[start : start + step] @ self._turn

    def level(self, power: Tensor) -> Tensor:
        """Return the smooth spectrum, at most a cubic in |k| of the logarithm, of (M,) power: (M,)."""
        binned = self.mean(power)
        tiny = 1e-12 * float(binned.mean())
        weight = self.count.sqrt()[:, None]
        at, target = self.mean(self._place), (binned + tiny).log()[:, None]
        solved = torch.linalg.lstsq(self._powers(at) * weight, target * weight).solution
        level: Tensor = (self._powers(self._place) @ solved)[:, 0].exp()
        return level

    def _powers(self, place: Tensor) -> Tensor:
        return torch.stack([(2 * place - 1) ** power for power in range(self._degree + 1)], -1)


@dataclass(frozen=True)
class PhaseMoments:
    """Means over a set of particles of the powers of z = exp(i chi) times the CTF's envelope.

    Attributes
    ----------
    level, second : (M,) tensor
        Of |z|^2 and z^2.
    quartic : tuple of (M,) tensors, or None
        Of |z|^4, |z|^2 z^2 and z^4, for images that were multiplied by their CTF.
    """

    level: Tensor
    second: Tensor
    quartic: tuple[Tensor, Tensor, Tensor] | None = None

    @classmethod
    def of(cls, sine: Tensor, cosine: Tensor, *, premultiplied: bool) -> PhaseMoments:
        """Average over particles.

        Parameters
        ----------
        sine : (n, M) tensor
            CTF of each particle.
        cosine : (n, M) tensor
            The same with its phase advanced by 90 degrees.
        premultiplied : bool

        Returns
        -------
        PhaseMoments
        """
        z = torch.complex(cosine.double(), sine.double())
        level, square = z.abs().square(), z.square()
        quartic = None
        if premultiplied:
            quartic = (level.square().mean(0), (level * square).mean(0), square.square().mean(0))
        return cls(level.mean(0), square.mean(0), quartic)

    def power(self, phase: Tensor) -> list[Tensor]:
        """Return the shapes of rings with `phase` added to every CTF.

        Parameters
        ----------
        phase : (..., M) tensor
            In rad.

        Returns
        -------
        list of (..., M) tensors
            Mean CTF^2; for premultiplied images the signal's CTF^4 and the CTF^2 of the noise that was
            recorded.
        """
        double = torch.polar(torch.ones_like(phase), 2 * phase)
        square = (self.level - (double * self.second).real) / 2
        if self.quartic is None:
            return [square]
        level, second, fourth = self.quartic
        signal = 3 / 8 * level - (double * second).real / 2 + (double.square() * fourth).real / 8
        return [signal, square]

    def cross(self, phase: Tensor) -> Tensor:
        """Return the mean product of the CTF with `phase` added and the CTF without: (..., M)."""
        single = torch.polar(torch.ones_like(phase), phase)
        if self.quartic is None:
            return (self.level * single.real - (single * self.second).real) / 2
        level, second, fourth = self.quartic
        double = single.square()
        mixed = level - second.real - (double * second).real
        return (mixed + (double.real * level + (double * fourth).real) / 2) / 4
