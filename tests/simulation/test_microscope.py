"""The microscope's physics against formulas written down here anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.physics.ctf import ctf
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulation.microscope import Microscope, disc, place

BOX, PIXEL_SIZE, COUNT = 48, 3.0, 600
QUIET = {"phase": 0.0, "solvent": 0.0, "readout": 0.0, "gradient": 0.0, "mtf": 1.0, "bfactor": 0.0}


def _ctf(count: int) -> torch.Tensor:
    def column(value: float) -> torch.Tensor:
        return torch.full((count,), value)

    defocus = torch.tensor([[12000.0, 11800.0, 20.0]]).expand(count, 3)
    return ctf(
        BOX, PIXEL_SIZE, defocus=defocus, voltage=column(300.0),
        spherical_aberration=column(2.7), amplitude_contrast=column(0.1), phase_shift=column(0.0),
        bfactor=column(0.0), scale=column(1.0),
    )  # fmt: skip


def _generators(count: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([7, number]) for number in range(first, first + count)]


def _expose(microscope: Microscope, contrast: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count = len(contrast)
    return microscope.expose(contrast, _ctf(count), PIXEL_SIZE, _generators(count))


def _frequency() -> torch.Tensor:
    k = np.hypot(np.fft.fftfreq(BOX, PIXEL_SIZE)[:, None], np.fft.rfftfreq(BOX, PIXEL_SIZE)[None])
    return torch.from_numpy(k)


def test_noise_has_the_spectrum_of_its_formula():
    """Shot noise through the MTF, solvent through CTF, envelope and MTF, white readout noise."""
    microscope = Microscope(solvent=3.0, gradient=0.0)
    raw, truth = _expose(microscope, torch.zeros(COUNT, BOX, BOX))
    power = torch.fft.rfft2((raw - truth).double()).abs().square().mean(0)
    k = _frequency()
    m = microscope
    mtf = 1 / (1 + (1 / m.mtf - 1) * (k * 2 * PIXEL_SIZE) ** 2)
    colour = 3.0 / (1 + (k * m.solvent_length) ** 2) * (_ctf(1)[0] * torch.exp(-m.bfactor * k**2 / 4)) ** 2
    electrons = m.dose * PIXEL_SIZE**2
    expected = m.gain**2 * electrons * BOX**2 * (mtf**2 * (1 + colour) + m.readout**2)
    torch.testing.assert_close(ring_mean(power, BOX)[1:], ring_mean(expected, BOX)[1:], rtol=0.05, atol=0.0)
    torch.testing.assert_close(
        m.noise_power(_ctf(1)[0], BOX, PIXEL_SIZE).double(), expected, rtol=1e-4, atol=0.0
    )
    assert expected[0, 4] > 2 * expected[0, -1]  # coloured


def test_bare_shot_noise_is_white_with_the_variance_of_the_count():
    microscope = Microscope(**QUIET, dose=30.0, gain=2.0)
    raw, truth = _expose(microscope, torch.zeros(COUNT, BOX, BOX))
    electrons = 30.0 * PIXEL_SIZE**2
    assert float(truth.mean()) == pytest.approx(3000.0 - 2.0 * electrons, rel=1e-5)
    assert float((raw - truth).var()) == pytest.approx(4.0 * electrons, rel=0.02)
    assert float((raw - truth).mean()) == pytest.approx(0.0, abs=0.2)


def test_dose_sets_the_signal_to_noise_ratio():
    pattern = 0.05 * torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(0))

    def ratio(dose: float) -> float:
        raw, truth = _expose(Microscope(**QUIET, dose=dose), pattern)
        return float(truth.var() / (raw - truth).var())

    assert ratio(40.0) / ratio(10.0) == pytest.approx(4.0, rel=0.05)


def test_truth_is_the_contrast_through_envelope_and_detector_protein_white():
    wave = 6
    x = torch.arange(BOX) - BOX // 2
    contrast = (0.1 * torch.cos(2 * torch.pi * wave * x / BOX)).expand(1, BOX, BOX)
    microscope = Microscope(gradient=0.0, bfactor=200.0, mtf=0.3, gain=2.0, offset=100.0)
    _, truth = _expose(microscope, contrast)
    k = wave / (BOX * PIXEL_SIZE)
    passed = np.exp(-200 * k**2 / 4) / (1 + (1 / 0.3 - 1) * (k * 2 * PIXEL_SIZE) ** 2)
    electrons = microscope.dose * PIXEL_SIZE**2
    torch.testing.assert_close(truth, 100 - 2.0 * electrons * (1 - passed * contrast), rtol=1e-5, atol=1e-2)
    assert truth[0, 0, BOX // 2] > truth.mean()


def test_the_gradient_is_a_plane_of_the_size_asked_for():
    microscope = Microscope(**{**QUIET, "gradient": 0.02})
    _, truth = _expose(microscope, torch.zeros(COUNT, BOX, BOX))
    plane = (truth - microscope.offset) / -(microscope.gain * microscope.dose * PIXEL_SIZE**2) - 1
    along_x = (plane[:, 0, -1] - plane[:, 0, 0]) / (BOX - 1) * BOX / 2
    assert float(along_x.std()) == pytest.approx(0.02, rel=0.2)
    second = plane[:, :, 2:] - 2 * plane[:, :, 1:-1] + plane[:, :, :-2]
    torch.testing.assert_close(second, torch.zeros_like(second), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(plane[:, BOX // 2, BOX // 2], torch.zeros(COUNT), rtol=0.0, atol=1e-5)


def test_noise_belongs_to_the_particle_and_not_to_the_batch():
    contrast = torch.zeros(6, BOX, BOX)
    whole, _ = _expose(Microscope(), contrast)
    alone, _ = Microscope().expose(contrast[4:5], _ctf(1), PIXEL_SIZE, _generators(1, first=4))
    torch.testing.assert_close(alone[0], whole[4], rtol=1e-6, atol=1e-3)
    assert abs(float(np.corrcoef(whole[3].ravel(), whole[4].ravel())[0, 1])) < 0.1


def test_contrast_gives_the_projections_the_phase_asked_for():
    volume = torch.rand(BOX, BOX, BOX, generator=torch.Generator().manual_seed(1)) * 17
    factor = Microscope(phase=0.02).contrast(volume, 15.0)
    inside = disc(BOX, 15.0)
    spread = np.mean([float((volume.sum(axis) * factor)[inside].std()) for axis in range(3)])
    assert spread == pytest.approx(2 * 0.02, rel=1e-4)


def test_place_moves_without_wrapping():
    image = torch.arange(25.0).reshape(5, 5)
    moved = place(image, (2, -1))
    torch.testing.assert_close(moved[:4, 2:], image[1:, :3])
    assert float(moved[4].abs().sum() + moved[:, :2].abs().sum()) == 0
    assert float(place(image, (5, 0)).abs().sum()) == 0
    assert float(place(image, (0, -7)).abs().sum()) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"dose": 0.0},
        {"mtf": 1.5},
        {"neighbours": -0.1},
        {"neighbour_distance": (0.7, 0.5)},
        {"bfactor": float("nan")},
    ],
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Microscope(**wrong)
