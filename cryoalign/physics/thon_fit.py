"""Fits of Thon rings: the defocus and astigmatism that a set of images shows, whatever their metadata say.

Fitting CTF^2 on a smooth background to the rings of a power spectrum is the field's way (CTFFIND:
Rohou & Grigorieff 2015, doi:10.1016/j.jsb.2015.08.008; Gctf: Zhang 2016, doi:10.1016/j.jsb.2015.11.003).
These programs maximize a correlation; here the measure is a likelihood, so that a fit has an error, and the
profiles of several sets of images can be added up. The models are those of `cryoalign.physics.thon`: linear
in non-negative coefficients, which are solved for at each offset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.optimize import minimize, nnls

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.physics.thon import PhaseMoments, RingBins

_SMALLEST = 1e-4  # power that a model may give, in units of the smooth spectrum
_REWEIGHTED = 4  # times
_DAMPING = 0.01  # mean CTF^2 of sim that is divided by with damping
_TRIALS = 120  # of the simplex


class Explained(NamedTuple):
    """How well a model explains a spectrum at one offset.

    Attributes
    ----------
    deviance : float
        Twice the log likelihood that the model lacks to a perfect one.
    dispersion : float
        Mean squared residual in units of what chance leaves.
    model : (C,) float64
        Power in each bin, in units of the smooth spectrum.
    contrast : float
        Share of the rings in the model where the CTF is at its crest.
    """

    deviance: float
    dispersion: float
    model: NDArray[np.float64]
    contrast: float


class PowerRings:
    """Rings in a mean power spectrum, A <CTF^2> + B.

    The power in a bin is a mean of exponential variables: its likelihood is Whittle's, the sum of
    n (log M + P / M) (Whittle 1953, doi:10.1007/BF02590998), maximized by reweighted non-negative least
    squares. A and B are hats times the smooth spectrum; A may fall more steeply, too.

    Parameters
    ----------
    bins : RingBins
    moments : PhaseMoments
        Of the particles' CTFs.
    power : (M,) tensor
        Mean power of the images at ``bins.pixels``.
    images : int
        How many.
    """

    def __init__(self, bins: RingBins, moments: PhaseMoments, power: Tensor, images: int) -> None:
        self._bins, self._moments = bins, moments
        self.level = bins.level(power)
        self.power = bins.mean(power / self.level).numpy()
        self._count = bins.count.numpy() * images
        self._hats = bins.smooth.numpy()
        self._signal = torch.cat([bins.smooth, bins.fall], 1).numpy()

    def explain(self, offsets: ArrayLike) -> list[Explained]:
        """Fit the coefficients at each of (O, 3) offsets in A: defocus, and both parts of astigmatism."""
        found = []
        for phase in self._bins.phases(offsets):
            shapes = [self._bins.mean(shape).numpy() for shape in self._moments.power(phase)]
            found += [self._solve(several) for several in zip(*shapes, strict=True)]
        return found

    def _solve(self, shapes: tuple[NDArray[np.float64], ...]) -> Explained:
        design = np.concatenate([*(self._signal * shape[:, None] for shape in shapes), self._hats], 1)
        power, count, model = self.power, self._count, self.power
        for _ in range(_REWEIGHTED):
            weight = np.sqrt(count) / np.maximum(model, _SMALLEST)
            solved, _ = nnls(design * weight[:, None], power * weight, maxiter=100 * design.shape[1])
            model = np.maximum(design @ solved, _SMALLEST)
        ratio = np.maximum(power, 1e-12) / model
        deviance = 2 * float(count @ (ratio - 1 - np.log(ratio)))
        dispersion = float(count @ (ratio - 1) ** 2) / max(len(power) - design.shape[1], 1)
        rings, rest = np.split(solved, [design.shape[1] - self._hats.shape[1]])
        crests = self._signal @ rings.reshape(len(shapes), self._signal.shape[1]).sum(0)
        share = crests / np.maximum(crests + self._hats @ rest, _SMALLEST)
        return Explained(deviance, dispersion, model, float(np.average(share, weights=count)))


class CrossRings:
    """Rings in the cross spectrum of images with simulated images of the same particles.

    Re sum F S* = T(|k|) P_sim <CTF CTF_0> / <CTF_0^2>, with T hats and CTF_0 that of sim, by non-negative
    least squares; the variance is that of independent images. It changes sign where only one of the CTFs
    does, which noise cannot hide as it hides the rings of a power spectrum.

    Parameters
    ----------
    bins : RingBins
    moments : PhaseMoments
        Of the particles' CTFs.
    cross : (M,) tensor
        Mean of Re F S* at ``bins.pixels``.
    power, sim_power : (M,) tensor
        Mean power of the images and of the simulated images.
    images : int
        How many.
    """

    def __init__(
        self,
        bins: RingBins,
        moments: PhaseMoments,
        *,
        cross: Tensor,
        power: Tensor,
        sim_power: Tensor,
        images: int,
    ) -> None:
        self._bins, self._moments = bins, moments
        unchanged = moments.cross(torch.zeros(1, len(cross), dtype=torch.float64))
        self._per_transfer = sim_power / (unchanged + _DAMPING)
        sim_level = bins.mean(sim_power) + _DAMPING * bins.mean(bins.level(sim_power))
        variance = bins.mean(power) * sim_level / (2 * images * bins.count)
        self._weight = variance.clamp(min=1e-30).rsqrt().numpy()
        self._cross = bins.mean(cross).numpy() * self._weight
        self._transfer = torch.cat([bins.smooth, bins.fall], 1).numpy()

    def explain(self, offsets: ArrayLike) -> list[Explained]:
        """Fit the coefficients at each of (O, 3) offsets in A: defocus, and both parts of astigmatism."""
        found = []
        for phase in self._bins.phases(offsets):
            shapes = self._bins.mean(self._moments.cross(phase) * self._per_transfer).numpy()
            found += [self._solve(shape) for shape in shapes]
        return found

    def _solve(self, shape: NDArray[np.float64]) -> Explained:
        design = self._transfer * (shape * self._weight)[:, None]
        solved, _ = nnls(design, self._cross, maxiter=100 * design.shape[1])
        model = design @ solved
        chi2 = float(np.square(self._cross - model).sum())
        share = 1 - chi2 / max(float(np.square(self._cross).sum()), 1e-30)
        return Explained(chi2, chi2 / max(len(model) - design.shape[1], 1), model, share)


Rings: TypeAlias = PowerRings | CrossRings


@dataclass(frozen=True)
class Profile:
    """What each offset of a grid leaves unexplained.

    Attributes
    ----------
    offsets : (O,) float64
        Of the defocus, in A.
    deviance : (O,) float64
        Over the dispersion: differences of 1, 4, 9 are 1, 2, 3 standard errors.
    dispersion : float
        Of the best fit, at least 1.
    """

    offsets: NDArray[np.float64]
    deviance: NDArray[np.float64]
    dispersion: float


def scan(rings: Rings, offsets: NDArray[np.float64]) -> Profile:
    """Fit at every offset of a grid.

    Parameters
    ----------
    rings : Rings
    offsets : (O,) float64
        Of the defocus in A, in order.

    Returns
    -------
    Profile
    """
    found = rings.explain(np.stack([offsets, 0 * offsets, 0 * offsets], 1))
    deviance = np.array([fit.deviance for fit in found])
    best = int(deviance.argmin())
    dispersion = max(found[best].dispersion, 1.0)
    return Profile(offsets, deviance / dispersion, dispersion)


def margin(offsets: NDArray[np.float64], deviance: NDArray[np.float64]) -> float:
    """Return by how much better the least of a curve is than the next minimum, or the ends of the curve.

    Parameters
    ----------
    offsets : (O,) float64
        In order; what is within twice the widest step of the least belongs to it.
    deviance : (O,) float64

    Returns
    -------
    float
        0 if the least is at an end.
    """
    best = int(deviance.argmin())
    if best in {0, len(deviance) - 1}:
        return 0.0
    inner = deviance[1:-1]
    minima = 1 + np.flatnonzero((inner <= deviance[:-2]) & (inner <= deviance[2:]))
    apart = np.abs(offsets[minima] - offsets[best]) > 2 * np.abs(np.diff(offsets)).max()
    return float(min(*deviance[minima[apart]], deviance[0], deviance[-1]) - deviance[best])


@dataclass(frozen=True)
class RingFit:
    """Defocus and astigmatism of a set of images, as offsets on the metadata's.

    Attributes
    ----------
    offset, error : float
        Of the mean defocus and its standard error, in A; the error is infinite where nothing holds it.
    astigmatism : (float, float)
        Offset of (U - V) times the cosine and the sine of twice the azimuth of U, in A.
    explained : Explained
        At that place.
    """

    offset: float
    error: float
    astigmatism: tuple[float, float]
    explained: Explained


def refine(rings: Rings, profile: Profile) -> RingFit:
    """Find the best defocus and astigmatism near the best offset of a grid.

    Parameters
    ----------
    rings : Rings
    profile : Profile

    Returns
    -------
    RingFit
    """
    start = float(profile.offsets[profile.deviance.argmin()])
    width = float(np.abs(np.diff(profile.offsets)).max())

    def deviance(place: NDArray[np.float64]) -> float:
        return rings.explain(place)[0].deviance / profile.dispersion

    corners = np.array([[-0.5, -0.3, -0.3], [0.5, -0.3, 0], [0, 0.5, 0], [0, 0, 0.5]]) * width
    corners[:, 0] += start
    found = minimize(
        deviance,
        corners[0],
        method="Nelder-Mead",
        options={
            "initial_simplex": corners, "xatol": 0.01 * width, "fatol": 0.02, "maxfev": _TRIALS,
        },
    )  # fmt: skip
    step = np.array([width / 2, 0, 0])
    # The flatter side: coefficients that reach zero put kinks into the profile, which parabolas overlook.
    rise = min(deviance(found.x + step), deviance(found.x - step)) - found.fun
    return RingFit(
        offset=float(found.x[0]),
        error=width / 2 / math.sqrt(rise) if rise > 0 else math.inf,
        astigmatism=(2 * float(found.x[1]), 2 * float(found.x[2])),
        explained=rings.explain(found.x)[0],
    )
