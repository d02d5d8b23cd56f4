"""CTF and shift: what the metadata claim, and what simulated images really carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.audit.correlation import Estimate, estimate, spread_rings
from cryoalign.physics.conditions import conditions
from cryoalign.physics.half_plane import squared
from cryoalign.physics.spectrum import ring_mean, ring_sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.audit.sample import Sample
    from cryoalign.particles import Particles

#: Floors under CTF^2, of which each candidate takes the best, besides that of white noise: numerical leakage
#: at the least, noise of a simulated detector or ice at the most.
_FLOORS = (0.01, 0.1, 1.0)
_HIGHEST = 1e3
_FEWEST, _STILL = 10, 0.05  # images, and px by which claims have to vary
_STEEPEST = 13  # slope that is looked for: the pixel size in A of coarse images taken for a unit
_SLOPE_OFF, _DECISIVE = 0.1, 8.0  # how far from the claim a slope has to be to matter, and by how many sigma
_WIENER = 1e-2  # smallest CTF^2 that is divided by without damping


@dataclass(frozen=True)
class Transfer:
    """A CTF as images may carry it.

    Attributes
    ----------
    power : int
        How many times it was applied: 0, 1, or 2 for premultiplied images.
    scale : float
        Factor on the claimed defocus.
    phase : str
        The claimed phase shift ``as claimed``, taken as ``radians`` where degrees are meant, or as
        ``degrees`` where radians are.
    """

    power: int
    scale: float = 1.0
    phase: str = "as claimed"


#: Factor on the claimed phase shift that undoes a mistaken unit.
PHASE_FACTORS = {"as claimed": 1.0, "radians": float(np.rad2deg(1.0)), "degrees": float(np.deg2rad(1.0))}


def claimed_power(particles: Particles) -> int:
    """Return how often the metadata say that the CTF was applied: 2 where most images are premultiplied."""
    return 2 if particles.optics_column("premultiplied").mean() > 0.5 else 1


def ctf_of(particles: Particles, box: int, pixel_size: float, transfer: Transfer) -> torch.Tensor:
    """Compute the CTF of each particle once, whatever its power; even aberrations and magnification included.

    Parameters
    ----------
    particles : Particles
    box : int
        N in px.
    pixel_size : float
        In A.
    transfer : Transfer
        Scale of the defocus and reading of the phase shift.

    Returns
    -------
    (n, N, N // 2 + 1) float32 tensor
    """
    optics = conditions(particles, np.arange(len(particles)), "cpu")
    factors = torch.tensor([transfer.scale, transfer.scale, 1.0])
    optics = replace(
        optics,
        pixel_size=torch.full_like(optics.pixel_size, pixel_size),
        defocus=optics.defocus * factors,
        phase_shift=optics.phase_shift * PHASE_FACTORS[transfer.phase],
        scale=torch.ones_like(optics.scale),
    )
    even, _ = optics.aberrations(*optics.frequencies(box))
    return optics.ctf(box, even)


def applied(once: torch.Tensor, transfer: Transfer) -> torch.Tensor:
    """Return the factor that images carry, from their CTF."""
    return once**transfer.power


def undone(once: torch.Tensor, transfer: Transfer) -> torch.Tensor:
    """Return a factor that divides a carried CTF out, damped near its zeros."""
    if transfer.power == 0:
        return torch.ones_like(once)
    return once**transfer.power / (once ** (2 * transfer.power) + _WIENER)


def claims_no_ctf(sample: Sample) -> bool:
    """Return whether the raw metadata claim a CTF that is the same everywhere, that is none."""
    claimed = ctf_of(sample.raw, sample.box, sample.pixel_size, Transfer(1))
    return bool(claimed.max() - claimed.min() < 0.1)


class TransferFit(NamedTuple):
    """How a candidate fits: mean log likelihood per frequency and image, and its gain over the first."""

    likelihood: float
    gain: Estimate


def carried_transfer(
    spectra: torch.Tensor,
    particles: Particles,
    pixel_size: float,
    candidates: list[Transfer],
    groups: NDArray[np.int64],
) -> dict[Transfer, TransferFit]:
    """Compare candidates with the power spectra of simulated images, which have little or no noise.

    Within a ring the power of image i is taken as exponentially distributed about M(ring) (CTF_i^2)^power, M
    the same for all images: the azimuth and the differences of defocus distinguish the candidates, whatever
    the specimen's spectrum. That views have one spectrum is only roughly so: where the CTF is low and smooth,
    the best candidate is a suspicion, to be confirmed by the measured images.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
        Half planes of the simulated images.
    particles : Particles
    pixel_size : float
        In A.
    candidates : list of Transfer
        The first is what the metadata claim.
    groups : (n,) int64
    """
    box = spectra.shape[-2]
    power = squared(spectra)
    tiny = float(ring_mean(power, box).mean()) * 1e-9
    white = _white_floor(power)
    values: dict[Transfer, NDArray[np.float64]] = {}
    for candidate in candidates:
        square = ctf_of(particles, box, pixel_size, candidate).square()
        floors = [
            white,
            *(_FLOORS if candidate == candidates[0] else _FLOORS[:-1]),
        ]  # noise speaks for no CTF
        fits = [_likelihood(power, (square + floor) ** candidate.power, tiny) for floor in floors]
        values[candidate] = max(fits, key=lambda fit: float(fit.sum()))
    first = values[candidates[0]]
    return {
        candidate: TransferFit(float(value.mean()), estimate(value - first, groups))
        for candidate, value in values.items()
    }


def _white_floor(power: torch.Tensor) -> torch.Tensor:
    """Return the floor under CTF^2, of mean 1/2, that white noise makes if the last rings hold only noise."""
    box = power.shape[-2]
    rings = ring_mean(power, box).mean(0)
    noise = (rings[-2:].mean() / rings).clamp(max=1.0)  # fraction of each ring's power
    return spread_rings((0.5 * noise / (1 - noise)).clamp(_FLOORS[0], _HIGHEST), box)


def carried_rows(
    spectra: torch.Tensor,
    others: torch.Tensor,
    particles: Particles,
    pixel_size: float,
    *,
    claimed: Transfer,
    groups: NDArray[np.int64],
) -> Estimate:
    """Compare how two sets of images fit the CTF that one set of metadata claims; see `carried_transfer`.

    Parameters
    ----------
    spectra, others : (n, N, N // 2 + 1) complex tensor
        Half planes of the images given for these rows, and of other rows' images.
    particles : Particles
    pixel_size : float
        In A.
    claimed : Transfer
    groups : (n,) int64

    Returns
    -------
    Estimate
        Of the log likelihood of `others` above that of `spectra`.
    """
    box = spectra.shape[-2]
    shape = (ctf_of(particles, box, pixel_size, claimed).square() + _FLOORS[0]) ** claimed.power
    fits = []
    for images in (spectra, others):
        power = squared(images)
        power = power / ring_mean(power, box)[:, 1:].mean(1)[:, None, None]
        fits.append(_likelihood(power, shape, float(power.mean()) * 1e-9))
    return estimate(fits[1] - fits[0], groups)


def _likelihood(power: torch.Tensor, shape: torch.Tensor, tiny: float) -> NDArray[np.float64]:
    """(n,) log likelihood of each image's power about its expectation, the level of each ring fitted."""
    box = power.shape[-2]
    ratio = power / shape
    level = ring_mean(ratio, box).mean(0) + tiny
    count = ring_sum(torch.ones_like(shape[:1]), box)
    total = ring_sum(shape.log(), box) + level.log() * count + ring_sum(ratio, box) / level
    likelihood: NDArray[np.float64] = -total[:, 1:].sum(1).double().numpy()
    return likelihood


@dataclass(frozen=True)
class ShiftFit:
    """How simulated images follow their claimed shifts: place = -slope @ claim.

    Attributes
    ----------
    slope : (2, 2) float64
        Identity where the shifts were applied as claimed.
    error : (2, 2) float64
        Standard errors.
    """

    slope: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def off(self) -> bool:
        """Whether the images do not seem to follow the claim."""
        off = np.abs(self.slope - np.eye(2))
        return bool(((off > _SLOPE_OFF) & (off > _DECISIVE * self.error)).any())


def carried_shift(spectra: torch.Tensor, claimed_px: NDArray[np.float64]) -> ShiftFit | None:
    """Measure from simulated images how they follow the claimed shifts.

    The place of an image's content is read from the phase of its lowest frequency along x and y, unwrapped
    about the slope that makes the phases most alike, and regressed on the claim. The sign of the contrast
    does not matter.

    Parameters
    ----------
    spectra : (n, N, N // 2 + 1) complex tensor
    claimed_px : (n, 2) float64
        Claimed shifts (x, y) in px.

    Returns
    -------
    ShiftFit or None
        None where the claimed shifts hardly differ from each other.
    """
    box = spectra.shape[-2]
    claim = claimed_px - claimed_px.mean(0)
    if len(claim) < _FEWEST or claim.std(0).min() < _STILL:
        return None
    turn = 2 * np.pi / box
    phase = torch.stack([spectra[:, 0, 1], spectra[:, 1, 0]], 1).angle().double().numpy()
    rough = np.array([_coherent(phase[:, axis], turn * claim[:, axis]) for axis in (0, 1)])
    place = -(phase - turn * claim * rough)  # what a rough slope leaves lies within one turn
    place = np.angle(np.exp(1j * place) / _direction(place)) / turn - claim * rough
    inverse = np.linalg.inv(claim.T @ claim)
    slope = -(inverse @ claim.T @ (place - place.mean(0))).T
    residual = place - place.mean(0) + claim @ slope.T
    variance = np.square(residual).sum(0) / (len(claim) - 3)
    return ShiftFit(slope, np.sqrt(variance[:, None] * np.diag(inverse)[None]))


def _coherent(phase: NDArray[np.float64], claim: NDArray[np.float64]) -> float:
    """Find the slope by which the claims explain most of the phases, on a grid."""
    slopes = np.linspace(-_STEEPEST, _STEEPEST, 20 * _STEEPEST + 1)
    sums = np.abs(np.exp(1j * (phase - slopes[:, None] * claim)).mean(1))
    return float(slopes[sums.argmax()])


def _direction(angle: NDArray[np.float64]) -> NDArray[np.complex128]:
    """(1, 2) mean direction of each column."""
    mean: NDArray[np.complex128] = np.exp(1j * angle).mean(0, keepdims=True)
    return mean / np.abs(mean)
