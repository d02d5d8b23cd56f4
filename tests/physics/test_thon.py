"""Thon rings against spectra of which the CTF is a formula, written here once more, and drawn noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoalign.physics.thon import PhaseMoments, RingBins, ring_range
from cryoalign.physics.thon_fit import CrossRings, PowerRings, RingFit, margin, refine, scan

BOX, PIXEL, DEFOCUS = 64, 3.0, 15000.0
WAVELENGTH = 0.0196875  # A, of 300 kV
SPHERICAL, CONTRAST = 2.7e7, 0.1
GRID = np.linspace(-0.4, 0.4, 49) * DEFOCUS


def frequencies() -> tuple[torch.Tensor, torch.Tensor]:
    ky, kx = torch.meshgrid(
        torch.fft.fftfreq(BOX, PIXEL, dtype=torch.float64),
        torch.fft.rfftfreq(BOX, PIXEL, dtype=torch.float64),
        indexing="ij",
    )
    return ky, kx


def chi(defocus: np.ndarray, stretch: float = 1.0) -> torch.Tensor:
    """(n, N, N // 2 + 1) phase of the CTF of (n, 3) U, V and azimuth."""
    ky, kx = (stretch * axis for axis in frequencies())
    k2, angle = kx**2 + ky**2, torch.atan2(ky, kx)
    u, v, azimuth = (torch.from_numpy(column)[:, None, None] for column in defocus.T)
    local = (u + v) / 2 + (u - v) / 2 * torch.cos(2 * (angle - torch.deg2rad(azimuth)))
    lens = math.pi * WAVELENGTH * local * k2 - math.pi / 2 * SPHERICAL * WAVELENGTH**3 * k2**2
    return lens + math.asin(CONTRAST)


def defoci(count: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mean = DEFOCUS + rng.normal(0, 400, count)
    half = rng.uniform(0, 300, count)
    return np.stack([mean + half, mean - half, rng.uniform(-90, 90, count)], axis=1)


def moved(defocus: np.ndarray, offset: float, along: float, across: float) -> np.ndarray:
    """Add to the mean, and to (U - V) times the cosine and the sine of twice the azimuth."""
    u, v, azimuth = defocus.T
    vector = (u - v) * np.exp(2j * np.radians(azimuth)) + along + 1j * across
    mean, half = (u + v) / 2 + offset, np.abs(vector) / 2
    return np.stack([mean + half, mean - half, np.degrees(np.angle(vector)) / 2], axis=1)


def bins(defocus: float = DEFOCUS) -> RingBins:
    limits = ring_range(BOX, PIXEL, defocus=defocus, wavelength=WAVELENGTH, phase=math.asin(CONTRAST))
    return RingBins(BOX, PIXEL, limits, WAVELENGTH)


def moments(place: RingBins, defocus: np.ndarray, *, premultiplied: bool = False) -> PhaseMoments:
    phase = place.take(chi(defocus))
    return PhaseMoments.of(phase.sin(), phase.cos(), premultiplied=premultiplied)


def signal() -> torch.Tensor:
    """(N, N // 2 + 1) power of what the lens modulates: falls 400-fold from the first zero to Nyquist."""
    ky, kx = frequencies()
    return 3.0 * torch.exp(-torch.hypot(ky, kx) / 0.02) + 0.02


def noise() -> torch.Tensor:
    ky, kx = frequencies()
    return 0.3 + 0.2 / (1 + (torch.hypot(ky, kx) / 0.05) ** 2)


def drawn(expected: torch.Tensor, images: int, seed: int) -> torch.Tensor:
    """Power of `images` Gaussian images: a mean of that many exponential variables."""
    shape = np.random.default_rng(seed).gamma(images, 1 / images, tuple(expected.shape))
    return expected * torch.from_numpy(shape)


def fitted(rings: PowerRings | CrossRings) -> RingFit:
    return refine(rings, scan(rings, GRID))


TRUTH = (-700.0, 250.0, -160.0)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_moments_give_the_mean_over_particles_at_any_offset(premultiplied: bool) -> None:
    defocus, place = defoci(), bins()
    (phase,) = place.phases([[TRUTH[0], TRUTH[1] / 2, TRUTH[2] / 2]])
    both = moments(place, defocus, premultiplied=premultiplied)
    claimed, true = (place.take(chi(entry)).sin() for entry in (defocus, moved(defocus, *TRUTH)))
    shapes = both.power(phase)
    power = 4 if premultiplied else 2
    assert torch.allclose(shapes[0][0], (true**power).mean(0), atol=1e-9)
    assert torch.allclose(shapes[-1][0], (true**2).mean(0), atol=1e-9)
    product = (true * claimed) ** (power // 2)
    assert torch.allclose(both.cross(phase)[0], product.mean(0), atol=1e-9)


def test_magnified_images_have_their_rings_at_the_specimen_frequencies() -> None:
    limits = ring_range(BOX, PIXEL, defocus=DEFOCUS, wavelength=WAVELENGTH)
    matrix = 1.05 * torch.eye(2)
    place = RingBins(BOX, PIXEL, limits, WAVELENGTH, magnification=matrix)
    defocus = defoci(3)
    phase = place.take(chi(defocus, 1.05))
    both = PhaseMoments.of(phase.sin(), phase.cos(), premultiplied=False)
    (turn,) = place.phases([[300.0, 0.0, 0.0]])
    expected = place.take(chi(moved(defocus, 300.0, 0, 0), 1.05)).sin().square().mean(0)
    assert torch.allclose(both.power(turn)[0][0], expected, atol=1e-9)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_defocus_and_astigmatism_are_recovered(premultiplied: bool) -> None:
    defocus = defoci()
    place, true = bins(), moved(defocus, *TRUTH)
    square = chi(true).sin().square()
    recorded = signal() * square + noise()
    expected = (recorded * square if premultiplied else recorded).mean(0) + 1e-3
    both = moments(place, defocus, premultiplied=premultiplied)
    exact = fitted(PowerRings(place, both, place.take(expected), 40))
    assert exact.offset == pytest.approx(TRUTH[0], abs=20)
    assert exact.astigmatism == pytest.approx(TRUTH[1:], abs=30)
    noisy = fitted(PowerRings(place, both, place.take(drawn(expected, 40, 1)), 40))
    assert abs(noisy.offset - TRUTH[0]) < min(4 * noisy.error, 150)


def test_error_is_that_of_repetitions() -> None:
    defocus, place = defoci(), bins()
    expected = (2 * signal() * chi(moved(defocus, 500.0, 0, 0)).sin().square() + noise()).mean(0)
    both = moments(place, defocus)
    fits = [fitted(PowerRings(place, both, place.take(drawn(expected, 40, seed)), 40)) for seed in range(12)]
    pulls = np.array([(fit.offset - 500) / fit.error for fit in fits])
    assert 0.5 < np.sqrt(np.mean(pulls**2)) < 1.6
    share = place.take(2 * signal() / (2 * signal() + noise()))
    expected_contrast = np.average(place.mean(share), weights=place.count)
    assert fits[0].explained.contrast == pytest.approx(expected_contrast, abs=0.05)


@pytest.mark.parametrize("background", ["white", "coloured"])
def test_noise_shows_no_rings(background: str) -> None:
    defocus, place = defoci(), bins()
    expected = torch.ones_like(noise()) if background == "white" else signal() + noise()
    both = moments(place, defocus)
    for seed in range(6):
        profile = scan(PowerRings(place, both, place.take(drawn(expected, 40, seed)), 40), GRID)
        assert margin(profile.offsets, profile.deviance) < 12


def test_rings_are_told_from_none() -> None:
    defocus, place = defoci(), bins()
    both = moments(place, defocus)
    expected = (signal() * chi(defocus).sin().square() + noise()).mean(0)
    profile = scan(PowerRings(place, both, place.take(drawn(expected, 40, 0)), 40), GRID)
    assert margin(profile.offsets, profile.deviance) > 30


@pytest.mark.parametrize("premultiplied", [False, True])
def test_cross_spectrum_shows_what_noise_hides_in_the_power(premultiplied: bool) -> None:
    """Images of signal a twentieth of the noise beyond the first zero, with a known defocus error."""
    defocus, place = defoci(60), bins()
    rng = torch.Generator().manual_seed(2)
    half = signal().sqrt()
    fine = torch.complex(*torch.randn(2, 60, *half.shape, generator=rng, dtype=torch.float64)) / math.sqrt(2)
    rough = torch.complex(*torch.randn(2, 60, *half.shape, generator=rng, dtype=torch.float64)) / math.sqrt(2)
    times = 2 if premultiplied else 1
    sim = half * fine * chi(defocus).sin() ** times
    image = 0.5 * half * fine * chi(moved(defocus, 900.0, 0, 200.0)).sin() ** times + 0.7 * rough
    power, sim_power = (place.take(spectra.abs().square().mean(0)) for spectra in (image, sim))
    both = moments(place, defocus, premultiplied=premultiplied)
    cross = place.take((image * sim.conj()).real.mean(0))
    rings = CrossRings(place, both, cross=cross, power=power, sim_power=sim_power, images=60)
    profile = scan(rings, GRID)
    assert margin(profile.offsets, profile.deviance) > 12
    found = refine(rings, profile)
    assert abs(found.offset - 900) < min(4 * found.error, 200)
    in_power = scan(PowerRings(place, both, power, 60), GRID)
    assert margin(in_power.offsets, in_power.deviance) < margin(profile.offsets, profile.deviance) / 4


def test_range_starts_below_the_first_zero_and_ends_where_rings_are_two_pixels() -> None:
    limits = ring_range(BOX, PIXEL, defocus=DEFOCUS, wavelength=WAVELENGTH)
    first = 1 / math.sqrt(WAVELENGTH * DEFOCUS)
    assert limits.low == pytest.approx(0.6 * first)
    assert limits.high == pytest.approx(BOX * PIXEL / (4 * WAVELENGTH * DEFOCUS))
    assert limits.past_zero == pytest.approx((limits.high / first) ** 2 - 1)
    near = ring_range(BOX, PIXEL, defocus=4000.0, wavelength=WAVELENGTH)
    assert near.high == pytest.approx(0.5 / PIXEL)
    plate = ring_range(BOX, PIXEL, defocus=4000.0, wavelength=WAVELENGTH, phase=math.pi / 2)
    assert plate.low == pytest.approx(near.low * math.sqrt(0.5))
    assert ring_range(BOX, PIXEL, defocus=0.0, wavelength=WAVELENGTH).past_zero < 0


def test_margin_counts_other_minima_and_the_ends() -> None:
    offsets = np.arange(11.0)
    valley = np.abs(offsets - 5.0)
    assert margin(offsets, valley) == 5
    valley[9] = 2.0
    assert margin(offsets, valley) == 2
    assert margin(offsets[::-1], valley) == 2
    valley[6] = 0.5
    assert margin(offsets, valley) == 2, "what is next to the minimum belongs to it"
    assert margin(offsets, offsets) == 0
