"""Modes of bands: smooth ones are found in few images, and single rings keep what is theirs."""

import math

import torch

from cryoalign.models.physical.bands import bands, fit_in_bands
from cryoalign.models.physical.modes import no_modes
from cryoalign.physics.half_plane import half_plane

PIXELS = half_plane(128).pixels
RINGS = torch.arange(len(PIXELS))
USED = PIXELS >= 8
#: A smooth shape, weak against the sampling error of each ring.
MODE = 0.1 * torch.exp(-RINGS / 20) * USED


def draw(images: int, seed: int, shape: torch.Tensor = MODE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    half = (PIXELS / 2).float().expand(images, -1)
    chance = torch._standard_gamma(half, generator=generator).clamp(min=1e-30) / half
    error = chance.log() - torch.digamma(half) + half.log()
    return error + torch.randn(images, 1, generator=generator) * shape


def gain(fineness: float, shape: torch.Tensor = MODE) -> float:
    """Nats that a fit to some images gains on others."""
    known, other = draw(200, 0, shape), draw(200, 1, shape)
    modes, _ = fit_in_bands(known, PIXELS, torch.arange(200), fineness)
    values = [
        float(one.log_likelihood(other, PIXELS, torch.arange(200)).sum()) for one in (modes, no_modes(PIXELS))
    ]
    return values[0] - values[1]


def test_bands_grow_with_the_radius() -> None:
    number = bands(PIXELS, 8)
    assert (number[~USED] == -1).all()
    assert bool((number[USED].diff() <= 1).all())
    width = torch.bincount(number[USED])
    assert (width[:15] == 1).all()
    assert width[-2] == int((number == len(width) - 2).nonzero()[0] / 8)
    assert torch.equal(bands(PIXELS, math.inf)[USED], torch.arange(int(USED.sum())))


def test_a_smooth_mode_predicts_better_in_bands() -> None:
    assert gain(4) > max(gain(math.inf), 0) + 10


def test_one_ring_that_varies_is_its_own() -> None:
    modes, _ = fit_in_bands(draw(400, 2, MODE + 0.5 * (RINGS == 41)), PIXELS, torch.arange(400), 8)
    spread = modes.within.square().sum(1) + modes.separate.square()
    assert abs(float(spread[41].sqrt()) - float(MODE[41] + 0.5)) < 0.1
    assert float(spread[45].sqrt()) < 0.15


def test_finds_nothing_in_chance_alone() -> None:
    kept = 0
    for seed in range(20):
        modes, counts = fit_in_bands(draw(100, seed, 0 * MODE), PIXELS, torch.arange(100), 8)
        kept += modes.varies or sum(counts) > 0
    assert kept <= 1


def test_shared_modes_stay_shared() -> None:
    generator = torch.Generator().manual_seed(3)
    micrograph = torch.arange(40).repeat_interleave(8)
    shared = torch.randn(40, 1, generator=generator)[micrograph] * (3 * MODE)
    modes, counts = fit_in_bands(draw(320, 4, 0 * MODE) + shared, PIXELS, micrograph, 8)
    assert counts[0] == 0
    assert counts[1] > 0
    assert abs(float(modes.between.square().sum() / (9 * MODE.square().sum())) - 1) < 0.5
