"""Filters by ring, corners included."""

from __future__ import annotations

import pytest
import torch

from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.ring_filter import filter_rings, ring_gain, ring_power


@pytest.mark.parametrize("box", [15, 16])
def test_power_adds_up_to_the_mean_square(box: int) -> None:
    images = torch.randn(3, 1, box, box, generator=torch.Generator().manual_seed(0))
    power = ring_power(images)
    pixels = half_plane(box).pixels
    mean = (power * pixels).sum(-1) / box**2
    torch.testing.assert_close(mean, images.double().square().mean((-2, -1)))


@pytest.mark.parametrize("box", [15, 16])
def test_a_filter_multiplies_the_power_of_each_ring(box: int) -> None:
    images = torch.randn(3, 1, box, box, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factors = torch.linspace(0.5, 2, len(half_plane(box).pixels), dtype=torch.float64)
    torch.testing.assert_close(ring_power(filter_rings(images, factors)), factors**2 * ring_power(images))
    torch.testing.assert_close(filter_rings(images, torch.ones_like(factors)), images)


def test_the_gain_of_a_filtered_image_is_its_filter() -> None:
    sim, noise = torch.randn(2, 800, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    factors = torch.linspace(-0.5, 2, len(half_plane(16).pixels))
    gain = ring_gain(sim, filter_rings(sim, factors) + noise)
    torch.testing.assert_close(gain.float(), factors, atol=0.1, rtol=0)
    assert ring_gain(torch.zeros_like(sim), noise).eq(0).all()
