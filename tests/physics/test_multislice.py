"""Waves against closed forms: free space, gratings, energy; abTEM's stand in tests/agreement."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cryoalign.physics.ctf import ctf, electron_wavelength
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.multislice import (
    band_limit,
    exit_wave,
    full_grid,
    intensity,
    interaction_constant,
    lens,
    propagator,
    transmission,
)

BOX, PIXEL_SIZE = 64, 1.2


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


VOLTAGE, WAVELENGTH = one(200), float(electron_wavelength(one(200)))


def coordinates() -> tuple[Tensor, Tensor]:
    axis = (torch.arange(BOX, dtype=torch.float64) - BOX // 2) * PIXEL_SIZE
    return axis[:, None], axis


def grid() -> tuple[Tensor, Tensor]:
    return full_grid(BOX, one(PIXEL_SIZE))


def neutral(**changes: Tensor) -> Tensor:
    """A lens without aberrations, but for what is given."""
    values = {name: one(0) for name in ("spherical_aberration", "phase_shift", "bfactor")}
    values |= {"defocus": torch.zeros(1, 3, dtype=torch.float64), "voltage": VOLTAGE, "scale": one(1)}
    return lens(*grid(), **{**values, **changes})


@pytest.mark.parametrize(("kilovolt", "milliradian"), [(100, 0.9244), (200, 0.7288), (300, 0.6526)])
def test_interaction_constant(kilovolt: float, milliradian: float) -> None:
    assert 1e3 * float(interaction_constant(one(kilovolt))) == pytest.approx(milliradian, abs=1e-4)


@pytest.mark.parametrize("distance", [800.0, -800.0])
def test_a_gaussian_beam_spreads_in_free_space(distance: float) -> None:
    """exp(-r^2 / w^2) becomes exp(-r^2 / (w^2 q)) / q with q = 1 + i lambda z / (pi w^2)."""
    y, x = coordinates()
    square, width = x**2 + y**2, 6.0
    beam = torch.exp(-square / width**2).to(torch.complex128)[None]
    free = propagator(*grid(), distance=distance, voltage=VOLTAGE)
    found = torch.fft.ifft2(torch.fft.fft2(beam) * free)[0]
    q = torch.tensor(1 + 1j * WAVELENGTH * distance / (math.pi * width**2))
    assert torch.allclose(found, torch.exp(-square / (width**2 * q)) / q, atol=1e-6)


def test_a_grating_repeats_itself_at_the_talbot_distance() -> None:
    period = BOX * PIXEL_SIZE / 4
    _, x = coordinates()
    phase = (400 * torch.cos(2 * math.pi * x / period)).expand(BOX, BOX)[None]
    wave = transmission(phase, VOLTAGE, one(0))
    talbot = 2 * period**2 / WAVELENGTH
    whole, half = (
        torch.fft.ifft2(torch.fft.fft2(wave) * propagator(*grid(), distance=d, voltage=VOLTAGE))
        for d in (talbot, talbot / 2)
    )
    assert torch.allclose(whole, wave, atol=1e-9)
    assert torch.allclose(half, wave.roll(int(period / PIXEL_SIZE) // 2, dims=-1), atol=1e-9)
    assert not torch.allclose(half, wave, atol=0.1)


def test_a_strong_phase_grating_has_bessel_amplitudes() -> None:
    _, x = coordinates()
    strength = 1.3
    phase = (
        strength / float(interaction_constant(VOLTAGE)) * torch.sin(2 * math.pi * 5 * x / (BOX * PIXEL_SIZE))
    )
    orders = torch.fft.fft2(transmission(phase.expand(BOX, BOX)[None], VOLTAGE, one(0)))[0, 0] / BOX**2
    first = torch.special.bessel_j1(one(strength)).item()
    zeroth = torch.special.bessel_j0(one(strength)).item()
    assert orders[0].abs().item() == pytest.approx(zeroth, abs=1e-6)
    assert orders[5].abs().item() == pytest.approx(first, abs=1e-6)
    assert orders[-10].abs().item() == pytest.approx(2 * first / strength - zeroth, abs=1e-6)


def strong_slices(count: int = 6) -> Tensor:
    return 300 * torch.randn(
        1, count, BOX, BOX, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def test_energy_is_conserved_without_absorption_and_band_limit() -> None:
    free = propagator(*grid(), distance=50, voltage=VOLTAGE)
    slices = strong_slices().unbind(1)
    wave = exit_wave(slices, free, voltage=VOLTAGE, amplitude_contrast=one(0))
    assert wave.abs().square().mean().item() == pytest.approx(1, abs=1e-12)
    assert wave.abs().square().std() > 0.1
    image = intensity(wave, neutral(defocus=torch.tensor([[9000.0, 8000, 20]]).double()))
    assert image.mean().item() == pytest.approx(1, abs=1e-12)
    limited = exit_wave(slices, free * band_limit(BOX, 2 / 3), voltage=VOLTAGE, amplitude_contrast=one(0))
    assert limited.abs().square().mean() < 0.999


def test_band_limit_marks_a_disc() -> None:
    inside = band_limit(48, 2 / 3)
    assert inside[0, 16]
    assert not inside[0, 17]
    assert inside[-16, 0]
    assert not inside[12, 12]
    assert inside.sum() == pytest.approx(math.pi * 16**2, rel=0.02)


def test_absorption_takes_energy_from_where_the_potential_is() -> None:
    projected = torch.zeros(1, BOX, BOX, dtype=torch.float64)
    projected[0, 3, 5] = 50
    passed = transmission(projected, VOLTAGE, one(0.3)).abs()
    expected = math.exp(-0.3 * 50 * float(interaction_constant(VOLTAGE)))
    assert passed[0, 3, 5].item() == pytest.approx(expected)
    assert passed[0, 0, 0] == 1


def test_a_weak_phase_object_is_imaged_with_the_ctf() -> None:
    """Every term of the CTF: astigmatism, Cs, phase plate, amplitude contrast, envelope and scale."""
    y, x = coordinates()
    projected = (0.1 * torch.exp(-((x - 7) ** 2 + (y + 12) ** 2) / (2 * 2.5**2)))[None]
    values = {
        "defocus": torch.tensor([[7000.0, 5500, 35]]).double(),
        "voltage": VOLTAGE,
        "spherical_aberration": one(2.7),
        "phase_shift": one(30),
        "bfactor": one(40),
        "scale": one(0.8),
    }
    wave = exit_wave([projected], torch.ones(1), voltage=VOLTAGE, amplitude_contrast=one(0.12))
    relative = intensity(wave, lens(*grid(), **values))
    found = (1 - relative) / (2 * interaction_constant(VOLTAGE))
    transfer = ctf(BOX, PIXEL_SIZE, amplitude_contrast=one(0.12), **values)
    truth = irfft2(rfft2(projected) * transfer, BOX)
    assert torch.linalg.norm(found - truth) < 1e-3 * torch.linalg.norm(truth)


def test_an_odd_phase_of_the_lens_moves_the_image() -> None:
    """exp(-2 pi i k.d) is a shift by d."""
    y, x = coordinates()
    spot = (3 * torch.exp(-(x**2 + y**2) / 18))[None]
    ky, kx = grid()
    wave = transmission(spot, VOLTAGE, one(0.1))
    phase = -2 * math.pi * PIXEL_SIZE * (3 * kx - 2 * ky)
    values = {"defocus": torch.tensor([[6000.0, 6000, 0]]).double()}
    moved = intensity(wave, neutral(**values, extra_phase=phase))
    assert torch.allclose(moved, intensity(wave, neutral(**values)).roll((-2, 3), (-2, -1)), atol=1e-6)


def test_a_phase_plate_does_not_touch_the_unscattered_beam() -> None:
    """A uniform specimen has no contrast, whatever the plate, if its phase is that of the beam."""
    uniform = transmission(torch.full((1, BOX, BOX), 700.0).double(), VOLTAGE, one(0))
    image = intensity(uniform, neutral(phase_shift=one(90)), uniform[:, 0, 0])
    assert torch.allclose(image, torch.ones_like(image))
    assert not torch.allclose(intensity(uniform, neutral(phase_shift=one(90))), image, atol=0.1)


def test_a_wave_needs_a_slice() -> None:
    with pytest.raises(ValueError, match="at least one slice"):
        exit_wave([], torch.ones(1), voltage=VOLTAGE, amplitude_contrast=one(0))
