"""The Fourier convention, against analytic truth, NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import resample

from cryoalign.physics.fourier import (
    centred_blocks,
    fourier_resize,
    fourier_resize_volume,
    frequency_grid,
    irfft2,
    rfft2,
    shift,
)


def gaussian(box: int, x: float = 0, y: float = 0, sigma: float = 2.5) -> torch.Tensor:
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    return torch.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("box", [31, 32])
def test_what_is_centred_has_the_real_positive_spectrum_of_a_gaussian(box: int) -> None:
    spectrum = rfft2(gaussian(box))
    ky, kx = frequency_grid(box, dtype=torch.float64)
    expected = 2 * np.pi * 2.5**2 * torch.exp(-2 * (np.pi * 2.5) ** 2 * (ky**2 + kx**2))
    assert torch.allclose(spectrum.real, expected, atol=1e-6)
    assert spectrum.imag.abs().max() < 1e-10


@pytest.mark.parametrize("box", [31, 32])
def test_irfft2_undoes_rfft2(box: int) -> None:
    images = torch.randn(2, 3, box, box, dtype=torch.float64)
    assert torch.allclose(irfft2(rfft2(images), box), images)


def test_frequencies_are_in_cycles_per_angstrom() -> None:
    ky, kx = frequency_grid(8, pixel_size=2.0)
    assert kx.shape == (1, 5)
    assert ky.shape == (8, 1)
    assert kx[0].tolist() == [0, 0.0625, 0.125, 0.1875, 0.25]
    assert ky[:, 0].tolist() == np.fft.fftfreq(8, 2.0).tolist()


@pytest.mark.parametrize("box", [31, 32])
def test_shift_moves_content_along_x_then_y(box: int) -> None:
    image = torch.randn(1, box, box, dtype=torch.float64)
    moved = irfft2(shift(rfft2(image), torch.tensor([[3.0, -5.0]], dtype=torch.float64), box), box)
    assert torch.allclose(moved, torch.roll(image, (-5, 3), (-2, -1)))


def test_fractional_shift_of_a_gaussian() -> None:
    there = torch.tensor([2.3, -1.6], dtype=torch.float64)
    assert torch.allclose(
        irfft2(shift(rfft2(gaussian(48)), there, 48), 48), gaussian(48, 2.3, -1.6), atol=1e-10
    )


@pytest.mark.parametrize(
    ("size", "box"), [(32, 20), (32, 21), (31, 20), (31, 21), (20, 32), (21, 32), (20, 31), (21, 31)]
)
def test_resize_is_scipys_band_limited_resampling_about_the_centre(size: int, box: int) -> None:
    images = np.random.default_rng(0).normal(size=(2, size, size))
    corner = np.fft.ifftshift(images, axes=(1, 2))
    expected = np.fft.fftshift(resample(resample(corner, box, axis=1), box, axis=2), axes=(1, 2))
    resized = fourier_resize(torch.from_numpy(images), box).numpy()
    if box < size and box % 2 == 0:
        spectra = np.fft.rfft2(expected)
        spectra[:, box // 2] /= np.sqrt(2)  # SciPy keeps the sum of +k and -k, with twice the power
        spectra[:, :, box // 2] /= np.sqrt(2)
        expected = np.fft.irfft2(spectra, (box, box))
    assert np.allclose(resized, expected)
    assert np.allclose(resized.mean((1, 2)), images.mean((1, 2)))


@pytest.mark.parametrize("box", [24, 25, 32])
def test_white_noise_stays_white_in_a_crop(box: int) -> None:
    noise = np.random.default_rng(0).normal(size=(3000, 32, 32))
    cropped = fourier_resize(torch.from_numpy(noise), box).numpy()
    power = (np.abs(np.fft.fft2(cropped, norm="ortho")) ** 2).mean(0) * (32 / box) ** 2
    assert np.allclose(power, 1, atol=0.2)  # eight standard errors, of a real frequency


@pytest.mark.parametrize(("size", "box"), [(48, 31), (49, 32), (31, 48)])
def test_resize_keeps_grey_values_and_the_centre(size: int, box: int) -> None:
    resized = fourier_resize(gaussian(size, sigma=3 * size / 48), box)
    assert torch.allclose(resized, gaussian(box, sigma=3 * box / 48), atol=1e-5)


def test_resize_leaves_its_argument_alone() -> None:
    images = torch.randn(2, 16, 16)
    before = images.clone()
    fourier_resize(images, 10)
    fourier_resize(images, 16)
    assert torch.equal(images, before)


@pytest.mark.parametrize(("size", "box"), [(24, 17), (25, 16), (16, 25)])
def test_volumes_are_resized_like_their_axes(size: int, box: int) -> None:
    plane, line = gaussian(size), torch.exp(-((torch.arange(size) - size // 2) ** 2) / 12.0).double()
    expected = fourier_resize_volume(line[:, None, None] * plane, box)
    corner = np.fft.ifftshift(line.numpy())
    along_z = torch.from_numpy(np.fft.fftshift(resample(corner, box)))
    assert torch.allclose(expected, along_z[:, None, None] * fourier_resize(plane, box), atol=1e-5)


@pytest.mark.parametrize("box", [7, 8])
def test_centred_blocks_do_what_fftshift_does(box: int) -> None:
    values = torch.randn(box, box, 3)
    target = torch.empty_like(values)
    for source, place in centred_blocks(box):
        target[place] = values[source]
    assert torch.equal(target, torch.fft.fftshift(values, dim=(0, 1)))
