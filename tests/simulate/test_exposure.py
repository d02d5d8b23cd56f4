"""Specimen, ice and detector together: noise where it belongs, in the right unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.particles import Optics, Particles
from cryoalign.physics.conditions import conditions
from cryoalign.physics.ctf import electron_wavelength
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.solvent import IceNoise
from cryoalign.simulate.weak_phase import WeakPhase

BOX, PIXEL_SIZE = 32, 3.0
OPTICS = Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, box_size=BOX)
PERFECT = Counting(dose=30.0, mtf=1.0, dqe=(1.0, 1.0), invert=False)


def particles(count: int, optics: Optics = OPTICS) -> Particles:
    rng = np.random.default_rng(1)
    return Particles.make(
        Path("a.star"),
        (optics,),
        count,
        micrograph=np.full(count, "mic.mrc"),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-6, 6, (count, 2)),
        defocus=np.tile([12000.0, 11800.0, 20.0], (count, 1)),
    )


def volume(volts: float = 1.0) -> torch.Tensor:
    axis = torch.arange(BOX) - BOX // 2
    square = axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2
    return volts * torch.exp(-square / 18.0) * (1 + 0.5 * (axis > 1))


def weak(volts: float = 1.0) -> WeakPhase:
    return WeakPhase(volume(volts), pixel_size=PIXEL_SIZE, box=BOX)


def ctf_power(rows: Particles) -> torch.Tensor:
    """CTF squared of one image, by the formula."""
    ky, kx = np.fft.fftfreq(BOX, PIXEL_SIZE)[:, None], np.fft.rfftfreq(BOX, PIXEL_SIZE)[None]
    k2, angle = ky**2 + kx**2, np.arctan2(ky, kx)
    wavelength = float(electron_wavelength(torch.tensor(300.0)))
    defocus = 11900 + 100 * np.cos(2 * (angle - np.radians(20)))
    phase = np.pi * wavelength * defocus * k2 - np.pi / 2 * 2.7e7 * wavelength**3 * k2**2 + np.arcsin(0.1)
    return torch.from_numpy(np.sin(phase) ** 2)


def test_without_ice_and_detector_it_is_the_simulator() -> None:
    rows = particles(4)
    torch.testing.assert_close(Experiment(scattering=weak())(rows), weak()(rows), rtol=0, atol=0)


def test_a_perfect_detector_sees_the_phase_twice() -> None:
    """Electrons n (1 - 2 sigma p c), with sigma = 6.526e-4 rad/(V A) at 300 kV."""
    rows = particles(4)
    _, expected = Experiment(scattering=weak(), detector=PERFECT).record(rows, np.arange(4))
    electrons = 30.0 * PIXEL_SIZE**2
    predicted = electrons * (1 - 2 * 6.526e-4 * PIXEL_SIZE * weak()(rows))
    torch.testing.assert_close(expected, predicted, rtol=1e-4, atol=1e-3 * electrons * 6.5e-4)


def test_ice_passes_the_ctf() -> None:
    ice, count = IceNoise(thickness=300.0), 200
    rows = particles(count)
    noisy = Experiment(scattering=weak(), solvent=ice)(rows) - weak()(rows)
    power = torch.fft.rfft2(noisy.double()).abs().square().mean(0)
    k = torch.from_numpy(
        np.hypot(np.fft.fftfreq(BOX, PIXEL_SIZE)[:, None], np.fft.rfftfreq(BOX, PIXEL_SIZE)[None])
    )
    per_area = ice.number_density * 300.0 * ice.molecule(k).square() * ice.structure_factor(k)
    expected = per_area * ctf_power(rows) * BOX**2 / PIXEL_SIZE**2 / PIXEL_SIZE**2
    torch.testing.assert_close(ring_mean(power, BOX)[2:], ring_mean(expected, BOX)[2:], rtol=0.12, atol=0.0)


def test_ice_in_slices_is_as_strong_as_ice_in_one_layer() -> None:
    rows, ice = particles(60), IceNoise(thickness=96.0)
    thick = Multislice(volume(0.0), pixel_size=PIXEL_SIZE, box=BOX, slice_thickness=24.0)
    assert thick.slice_count == 4
    power = [
        ring_mean(torch.fft.rfft2(Experiment(scattering=each, solvent=ice)(rows)).abs().square().mean(0), BOX)
        for each in (thick, weak(0.0))
    ]
    torch.testing.assert_close(power[0][2:-3], power[1][2:-3], rtol=0.3, atol=0.0)
    assert float((power[0][2:-3] / power[1][2:-3]).mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("scattering", ["weak", "multislice"])
def test_noise_belongs_to_the_particle(scattering: str) -> None:
    simulator = weak() if scattering == "weak" else Multislice(volume(), pixel_size=PIXEL_SIZE, box=BOX)
    experiment = Experiment(
        scattering=simulator, solvent=IceNoise(), detector=Counting(gradient=0.02), seed=5
    )
    rows = particles(6)
    together = experiment(rows)
    apart = torch.cat([experiment(rows.take([4, 2])), experiment(rows, [0])])
    close = torch.isclose(apart, together[[4, 2, 0]], rtol=1e-5, atol=1e-2)
    assert close.float().mean() > 0.98  # where rounding decides, an electron more or less in a few pixels
    other = replace(experiment, seed=6)(rows)
    assert not torch.allclose(other, together, atol=1.0)


def test_premultiplied_noise_has_been_multiplied_too() -> None:
    rows = particles(200, replace(OPTICS, premultiplied=True))
    experiment = Experiment(scattering=weak(0.0), detector=PERFECT)
    recorded, expected = experiment.record(rows, np.arange(200))
    power = torch.fft.rfft2((recorded - expected).double()).abs().square().mean(0)
    predicted = 30.0 * PIXEL_SIZE**2 * BOX**2 * ctf_power(rows)
    torch.testing.assert_close(ring_mean(power, BOX)[2:], ring_mean(predicted, BOX)[2:], rtol=0.1, atol=0.0)


def test_premultiplied_signal_is_that_of_the_plain_simulator() -> None:
    rows = particles(3, replace(OPTICS, premultiplied=True))
    _, expected = Experiment(scattering=weak(), detector=PERFECT).record(rows, np.arange(3))
    empty = Experiment(scattering=weak(0.0), detector=PERFECT).record(rows, np.arange(3))[1]
    strength = 2 * 6.526e-4 * PIXEL_SIZE * 30.0 * PIXEL_SIZE**2
    torch.testing.assert_close((empty - expected) / strength, weak()(rows), rtol=1e-3, atol=2e-3)


def test_beside_the_particle() -> None:
    rows = particles(2)
    experiment = Experiment(scattering=weak(), detector=PERFECT)
    beside = weak()(rows.take([1, 0]))
    with_it, without = (experiment.record(rows, np.arange(2), each)[1] for each in (beside, None))
    scale = -2 * 6.526e-4 * PIXEL_SIZE * 30.0 * PIXEL_SIZE**2
    torch.testing.assert_close(with_it - without, scale * beside, rtol=1e-3, atol=1e-3)


def test_conditions_fill_up_short_lists_of_coefficients() -> None:
    rows = particles(2)
    other = replace(OPTICS, group=2, even_zernike=(0.0, 1.0, 2.0, 3.0), voltage=200.0)
    mixed = replace(rows, optics=(OPTICS, other), optics_index=np.array([0, 1]))
    found = conditions(mixed, np.array([1, 0]), torch.device("cpu"))
    assert found.voltage.tolist() == [200, 300]
    even, odd = found.aberrations(*found.frequencies(8))
    assert odd is None
    assert even is not None
    assert even[0].abs().max() > 1e-3
    assert not even[1].any()
