"""Noise that is not Gaussian: moments of what is drawn, and both skewnesses found again."""

import math

import pytest
import torch

from cryoalign.models.physical.innovations import (
    fit_lowest,
    fit_skewness,
    held_out,
    skewed,
    third_moments,
    with_blobs,
)
from cryoalign.physics.half_plane import half_plane, squared

BOX = 48
RINGS = half_plane(BOX)
#: Stronger at low frequencies, as in real images, and less so at high ones.
POWER = (0.7 + 4 / (1 + RINGS.radius)).float() * (1 - 0.4 * RINGS.radius / BOX).float()
OUTSIDE = torch.hypot(*torch.meshgrid(*[torch.arange(BOX) - BOX / 2] * 2, indexing="ij")) > 0.9 * BOX / 2


def _white(images: int, seed: int, skewness: float = 0.0) -> torch.Tensor:
    maps = torch.randn(images, BOX, BOX, generator=torch.Generator().manual_seed(seed))
    return torch.fft.rfft2(skewed(maps, skewness), norm="ortho")


def _moments(noise: torch.Tensor, power: torch.Tensor = POWER) -> torch.Tensor:
    return third_moments(noise, power.expand(len(noise), -1, -1), OUTSIDE)


@pytest.mark.parametrize("skewness", [-0.2, 0.5, 1.5])
def test_values_have_mean_variance_and_skewness(skewness: float) -> None:
    maps = torch.randn(4_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = skewed(maps, skewness)
    assert abs(values.mean()) < 0.003
    assert abs(values.var() - 1) < 0.01
    assert abs(values.pow(3).mean() / skewness - 1) < 0.05


def test_no_skewness_changes_nothing() -> None:
    maps = torch.randn(100)
    assert torch.equal(skewed(maps, 0.0), maps)
    noise = _white(2, seed=0)
    assert torch.equal(with_blobs(noise, POWER.expand(2, -1, -1), 0.0), noise)


@pytest.mark.parametrize(("box", "shape"), [(48, 0.3), (33, -0.3), (16, 0.2)])
def test_blobs_keep_power_and_other_rings(box: int, shape: float) -> None:
    rings = half_plane(box)
    power = (1 + 5 / (1 + rings.radius)).float().expand(4000, -1, -1)
    maps = torch.randn(4000, box, box, generator=torch.Generator().manual_seed(1))
    noise = torch.fft.rfft2(maps, norm="ortho") * power.sqrt()
    blobs = with_blobs(noise, power, shape)
    inside = (rings.ring >= 1) & (rings.ring <= 8)
    assert torch.equal(blobs[:, ~inside], noise[:, ~inside])
    ratio = (squared(blobs).mean(0) / power[0])[inside]
    assert (ratio - 1).abs().max() < 0.12
    lowest = inside & (rings.ring <= 4)
    images = torch.fft.irfft2(blobs * lowest, s=(box, box), norm="ortho")
    skewness = images.pow(3).mean() / images.square().mean().pow(1.5)
    assert skewness * math.copysign(1, shape) > 0.3


def test_finds_the_skewness_of_the_white_noise_again() -> None:
    noise = _white(400, seed=2, skewness=-0.3) * POWER.sqrt()
    moments = _moments(noise)
    assert 0.5 < moments[0, 1] < 0.98  # the filter keeps a part of it
    error = math.sqrt(6 / (400 * int(OUTSIDE.sum())) / float(moments[0, 1]) ** 2)
    assert abs(fit_skewness(moments) + 0.3) < 4 * error


def test_the_filter_keeps_the_part_that_it_should() -> None:
    images = torch.fft.irfft2(_white(2000, seed=3, skewness=1.0) * POWER.sqrt(), s=(BOX, BOX), norm="ortho")
    images -= images.mean((1, 2), keepdim=True)
    skewness = images.pow(3).mean() / images.square().mean().pow(1.5)
    assert abs(skewness - _moments(_white(1, seed=0))[0, 1]) < 0.03


def test_finds_the_lowest_rings_again() -> None:
    expected = POWER.expand(1000, -1, -1)
    noise = with_blobs(_white(1000, seed=4) * POWER.sqrt(), expected, 0.2)
    moments = _moments(noise)
    assert abs(fit_lowest(moments, POWER) - 0.2) < 0.05
    assert fit_lowest(-moments, POWER) < -0.15


def test_held_out_images_want_what_is_there() -> None:
    fold = torch.arange(200) % 8
    noise = with_blobs(_white(200, seed=5, skewness=-0.3) * POWER.sqrt(), POWER.expand(200, -1, -1), 0.2)
    for gains in held_out(_moments(noise), fold):
        assert len(gains) == 8
        assert gains.sum() > 2 * gains.std() * math.sqrt(8)


def test_held_out_images_want_nothing_of_gaussian_noise() -> None:
    fold = torch.arange(80) % 8
    kept = [0, 0]
    for seed in range(20):
        for place, gains in enumerate(held_out(_moments(_white(80, seed) * POWER.sqrt()), fold)):
            kept[place] += bool(gains.sum() > 2 * gains.std() * math.sqrt(8))
    assert max(kept) <= 1


def test_one_hot_pixel_makes_no_skewness() -> None:
    images = torch.randn(100, BOX, BOX, generator=torch.Generator().manual_seed(6))
    images[3, 0, 0] = 100
    noise = torch.fft.rfft2(images, norm="ortho")
    assert abs(fit_skewness(_moments(noise, torch.ones_like(POWER)))) < 0.05
