"""The CTF against analytic truth; its agreement with RELION is tests/agreement/test_relion_project.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import constants

from cryoalign.physics.ctf import ctf, electron_wavelength
from cryoalign.physics.fourier import frequency_grid

BOX, PIXEL = 64, 1.5
K = torch.fft.rfftfreq(BOX, PIXEL, dtype=torch.float64)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def one(pixel_size: float | torch.Tensor = PIXEL, box: int = BOX, **changes: torch.Tensor) -> torch.Tensor:
    parameters: dict[str, Any] = {
        "defocus": column(15000, 15000, 0)[None],
        "voltage": column(300),
        "spherical_aberration": column(2.7),
        "amplitude_contrast": column(0.1),
        "phase_shift": column(0),
        "bfactor": column(0),
        "scale": column(1),
    }
    return ctf(box, pixel_size, **(parameters | changes))


@pytest.mark.parametrize("kilovolt", [80, 200, 300])
def test_wavelength_is_the_relativistic_one(kilovolt: float) -> None:
    energy, rest = kilovolt * 1e3 * constants.e, constants.m_e * constants.c**2
    expected = constants.h * constants.c / np.sqrt(energy * (2 * rest + energy)) * 1e10
    assert electron_wavelength(column(kilovolt)).item() == pytest.approx(expected, rel=1e-5)


def test_zero_frequency_is_the_amplitude_contrast() -> None:
    assert one(amplitude_contrast=column(0.07))[0, 0, 0].item() == pytest.approx(0.07)


def test_low_frequencies_of_underfocus_are_positive() -> None:
    assert (one()[0, 0, :3] > 0).all()


def test_profile_without_astigmatism() -> None:
    wavelength = 0.0196875
    phase = np.pi * wavelength * 15000 * K**2 - np.pi / 2 * 2.7e7 * wavelength**3 * K**4 + np.arcsin(0.1)
    assert torch.allclose(one()[0, 0], torch.sin(phase), atol=2e-3)


def test_defocus_u_lies_at_its_azimuth_from_x_towards_y() -> None:
    u, v = column(15000, 15000, 0)[None], column(9000, 9000, 0)[None]
    along_x = one(defocus=column(15000, 9000, 0)[None])[0]
    assert torch.allclose(along_x[0], one(defocus=u)[0, 0])
    assert torch.allclose(along_x[:, 0], one(defocus=v)[0, :, 0])
    along_y = one(defocus=column(15000, 9000, 90)[None])[0]
    assert torch.allclose(along_y[0], one(defocus=v)[0, 0])
    diagonal = one(defocus=column(15000, 9000, 45)[None])[0]
    index = torch.arange(BOX // 2)
    assert torch.allclose(diagonal[index, index], one(defocus=u)[0, index, index])
    assert torch.allclose(diagonal[-index, index][1:], one(defocus=v)[0, -index, index][1:])


def test_astigmatism_follows_the_cosine_of_twice_the_angle() -> None:
    ky, kx = frequency_grid(BOX, PIXEL, dtype=torch.float64)
    angle = torch.atan2(ky, kx) - np.radians(25)
    defocus = 12000 + 1000 * torch.cos(2 * angle)
    expected = torch.empty(BOX, BOX // 2 + 1, dtype=torch.float64)
    for y, x in ((3, 7), (60, 12), (20, 0), (0, 20)):
        local = column(defocus[y, x].item(), defocus[y, x].item(), 0)[None]
        expected[y, x] = one(defocus=local)[0, y, x]
        assert one(defocus=column(13000, 11000, 25)[None])[0, y, x].item() == pytest.approx(
            expected[y, x].item()
        )


def test_u_and_v_may_be_swapped_with_a_quarter_turn() -> None:
    a, b = one(defocus=column(13000, 11000, 25)[None]), one(defocus=column(11000, 13000, 115)[None])
    assert torch.isfinite(b).all()
    assert torch.allclose(a, b)


def test_phase_plate_of_90_degrees_turns_sine_into_cosine() -> None:
    plain = {"amplitude_contrast": column(0)}
    sine, cosine = one(**plain), one(**plain, phase_shift=column(90))
    assert torch.allclose(sine**2 + cosine**2, torch.ones_like(sine))
    assert cosine[0, 0, 0].item() == pytest.approx(1)


def test_bfactor_and_scale_multiply() -> None:
    expected = one()[0, 0] * 0.7 * torch.exp(-50 / 4 * K**2)
    assert torch.allclose(one(bfactor=column(50), scale=column(0.7))[0, 0], expected)


def test_even_phase_is_subtracted_inside_the_sine() -> None:
    """A plate of 90 degrees that the aberration takes back leaves the plain CTF."""
    back = torch.full((1, BOX, BOX // 2 + 1), np.pi / 2, dtype=torch.float64)
    assert torch.allclose(one(phase_shift=column(90), even_phase=back), one())
    assert not torch.allclose(one(phase_shift=column(90), even_phase=-back), one())


def test_magnification_by_one_factor_is_another_pixel_size() -> None:
    matrix = 1.04 * torch.eye(2, dtype=torch.float64)[None]
    options = {"defocus": column(13000, 11000, 25)[None], "bfactor": column(40)}
    assert torch.allclose(one(magnification=matrix, **options), one(PIXEL / 1.04, **options))


def test_magnification_along_one_axis_moves_the_rings_of_that_axis() -> None:
    stretched = one(magnification=torch.tensor([[[1.1, 0], [0, 1]]], dtype=torch.float64))[0]
    assert torch.allclose(stretched[0], one(PIXEL / 1.1)[0, 0])
    assert torch.allclose(stretched[:, 0], one()[0, :, 0])


def test_each_image_has_its_own_pixel_size() -> None:
    defocus = column(15000, 14000, 30).expand(2, 3)
    twice = {
        name: column(*values)
        for name, values in {"voltage": (300, 300), "spherical_aberration": (2.7, 2.7)}.items()
    }
    rest = {
        name: column(value, value)
        for name, value in {"phase_shift": 0.0, "bfactor": 0.0, "scale": 1.0}.items()
    }
    both = one(column(1.5, 1.53), defocus=defocus, amplitude_contrast=column(0.1, 0.1), **twice, **rest)
    for image, pixel_size in zip(both, (1.5, 1.53), strict=True):
        assert torch.allclose(image, one(pixel_size, defocus=defocus[:1])[0])


def test_odd_box_and_dtype() -> None:
    assert one(box=31).shape == (1, 31, 16)
    assert one().dtype == torch.float64


def test_float32_is_close_to_float64() -> None:
    single = {
        "defocus": torch.tensor([[30000.0, 29000, 10]]),
        "voltage": torch.tensor([300.0]),
        "spherical_aberration": torch.tensor([2.7]),
        "amplitude_contrast": torch.tensor([0.1]),
        "phase_shift": torch.tensor([0.0]),
        "bfactor": torch.tensor([0.0]),
        "scale": torch.tensor([1.0]),
    }
    double = {name: value.double() for name, value in single.items()}
    assert (ctf(256, 1.0, **single) - ctf(256, 1.0, **double)).abs().max() < 2e-4
