"""The radial log power spectrum against plain loops over the full FFT, and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoalign.physics import spectrum


def loop_over_full_fft(image: np.ndarray, fft_scale: float = 1.0) -> np.ndarray:
    """Radial log power the slow way: float64, the full plane, one pixel after another."""
    box = len(image)
    spectra = np.fft.fft2(image.astype(np.float64)) * fft_scale
    sums, counts = [0.0] * (box // 2 + 1), [0] * (box // 2 + 1)
    for row in range(box):
        for column in range(box):
            y = row if row < (box + 1) // 2 else row - box
            x = column if column < (box + 1) // 2 else column - box
            ring = math.floor(math.sqrt(x * x + y * y) + 0.5)
            if ring <= box // 2:
                sums[ring] += math.log(1 + abs(spectra[row, column]) ** 2)
                counts[ring] += 1
    return np.array(sums) / np.array(counts)


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("box", [31, 32, 64, 256])
def test_equals_a_loop_over_the_full_fft(box: int) -> None:
    a, b = images(2, box, box)
    slow = [loop_over_full_fft(image.numpy()) for image in (a, b)]

    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-11)):
        fast = [spectrum.radial_log_power(image.to(dtype)) for image in (a, b)]
        assert fast[0].dtype == dtype
        assert np.abs(fast[0].numpy() - slow[0]).max() < tolerance
        for power in (1, 2):
            expected = np.mean(np.abs(slow[0] - slow[1]) ** power)
            assert abs(spectrum.rpsd_distance(*fast, power=power).item() - expected) < tolerance


@pytest.mark.parametrize("box", [31, 32])
@pytest.mark.parametrize("norm", ["ortho", "forward"])
def test_norm_scales_the_transform(box: int, norm: str) -> None:
    image = images(box, box, dtype=torch.float64)
    expected = loop_over_full_fft(image.numpy(), 1 / box if norm == "ortho" else 1 / box**2)
    assert np.abs(spectrum.radial_log_power(image, norm).numpy() - expected).max() < 1e-12


def test_one_wave_lights_one_ring() -> None:
    box, ring, amplitude = 32, 5, 0.7
    wave = amplitude * torch.cos(2 * math.pi * ring * torch.arange(box, dtype=torch.float64) / box).expand(
        box, box
    )
    curve = spectrum.radial_log_power(wave)
    pixels = sum(
        round(math.hypot(x, y)) == ring
        for x in range(-box // 2, box // 2)
        for y in range(-box // 2, box // 2)
    )
    peak = amplitude * box**2 / 2
    assert curve[ring].item() == pytest.approx(2 * math.log1p(peak**2) / pixels)
    assert curve[torch.arange(len(curve)) != ring].abs().max() < 1e-20


@pytest.mark.parametrize("box", [31, 32])
def test_rings_and_corners_make_up_the_power(box: int) -> None:
    """Parseval: the weighted half plane, with the corners put back, holds the image's power."""
    image = images(box, box, dtype=torch.float64)
    power = torch.fft.rfft2(image, norm="ortho").abs().square()
    full = torch.fft.fft2(image, norm="ortho").abs().square()
    frequency = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64)
    corners = torch.hypot(frequency[:, None], frequency[None]).round() > box // 2
    total = spectrum.ring_sum(power, box).sum() + full[corners].sum()
    assert total.item() == pytest.approx(image.square().sum().item(), rel=1e-12)


def test_ring_mean_of_a_constant_is_that_constant() -> None:
    for box in (16, 31, 64):
        assert spectrum.ring_mean(torch.full((2, 3, box, box // 2 + 1), 2.5), box).eq(2.5).all()
        assert spectrum.ring_mean(torch.ones(box, box // 2 + 1), box).shape == (spectrum.ring_count(box),)


@pytest.mark.parametrize("box", [7, 8])
def test_gradient(box: int) -> None:
    image, other = images(2, 2, box, box, dtype=torch.float64)
    image.requires_grad_()
    target = spectrum.radial_log_power(other)
    assert torch.autograd.gradcheck(spectrum.radial_log_power, image)
    for power in (1, 2):
        assert torch.autograd.gradcheck(
            lambda x, p=power: spectrum.rpsd_distance(spectrum.radial_log_power(x), target, p), image
        )


def test_gradient_is_finite_on_an_empty_image() -> None:
    image = torch.zeros(16, 16, requires_grad=True)
    spectrum.radial_log_power(image).sum().backward()
    assert image.grad is not None
    assert image.grad.eq(0).all()


def test_half_precision_and_autocast_run_in_float32() -> None:
    image = images(2, 64, 64) * 100  # |F|^2 up to 1e9, far past float16's 65504
    half = spectrum.radial_log_power(image.half())
    assert half.dtype == torch.float32
    assert half.equal(spectrum.radial_log_power(image.half().float()))
    plain = spectrum.radial_log_power(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = spectrum.radial_log_power(image)
        distance = spectrum.rpsd_distance(mixed[0].bfloat16(), mixed[1].bfloat16())
    assert mixed.equal(plain)
    assert distance.dtype == torch.float32


def test_repeats_bit_for_bit() -> None:
    image = images(4, 1, 65, 65)
    assert spectrum.radial_log_power(image).equal(spectrum.radial_log_power(image.clone()))
    assert spectrum.radial_log_power(image)[2].equal(spectrum.radial_log_power(image[2]))


def test_first_use_in_inference_mode_does_not_spoil_training() -> None:
    spectrum._rings.cache_clear()
    with torch.inference_mode():
        spectrum.radial_log_power(images(18, 18))
    image = images(18, 18).requires_grad_()
    spectrum.radial_log_power(image).sum().backward()
    assert image.grad is not None


@pytest.mark.parametrize("box", [31, 32])
def test_ring_correlation_against_the_full_fft(box: int) -> None:
    a, b = images(2, 3, box, box, dtype=torch.float64)
    b = 0.4 * a + b
    frequency = np.fft.fftfreq(box, 1 / box)
    ring = np.round(np.hypot(frequency[:, None], frequency[None])).astype(int)
    full_a, full_b = np.fft.fft2(a.numpy()), np.fft.fft2(b.numpy())
    for n in range(3):
        expected = [
            (full_a[n] * full_b[n].conj())[ring == r].sum().real
            / np.sqrt((np.abs(full_a[n]) ** 2)[ring == r].sum() * (np.abs(full_b[n]) ** 2)[ring == r].sum())
            for r in range(box // 2 + 1)
        ]
        np.testing.assert_allclose(spectrum.ring_correlation(a[n], b[n]).numpy(), expected, atol=1e-12)


def test_ring_correlation_of_scaled_and_of_empty_images() -> None:
    image = images(20, 20)
    torch.testing.assert_close(spectrum.ring_correlation(image, -3 * image), -torch.ones(11))
    assert spectrum.ring_correlation(image, torch.zeros(20, 20)).eq(0).all()


def test_normalized_radius_is_a_fraction_of_nyquist() -> None:
    assert spectrum.normalized_radius(64)[-1] == 1
    assert spectrum.normalized_radius(31)[-1].item() == pytest.approx(30 / 31)
    assert len(spectrum.normalized_radius(31)) == spectrum.ring_count(31) == 16


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="square"):
        spectrum.radial_log_power(torch.zeros(8, 9))
    with pytest.raises(ValueError, match="half plane"):
        spectrum.ring_mean(torch.zeros(8, 8), 8)
    with pytest.raises(ValueError, match="1 or 2"):
        spectrum.rpsd_distance(torch.zeros(5), torch.zeros(5), power=3)
    with pytest.raises(ValueError, match="5 and 6 rings"):
        spectrum.rpsd_distance(torch.zeros(5), torch.zeros(6))
    with pytest.raises(ValueError, match="px"):
        spectrum.ring_correlation(torch.zeros(8, 8), torch.zeros(9, 9))
