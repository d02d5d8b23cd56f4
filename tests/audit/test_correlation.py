"""Correlations against plain ones, errors against their analytic values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cryoalign.audit.correlation import Scorer, estimate
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.mask import soft_circle

COUNT, BOX = 40, 24


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(0))


def test_the_error_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(1, 2, 50)
    found = estimate(values, np.arange(50))
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(stats.sem(values))
    assert found.chance == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)


def test_images_of_one_group_do_not_count_as_independent() -> None:
    """Twenty groups of five equal values are twenty values."""
    values = np.random.default_rng(1).normal(1, 2, 20)
    found = estimate(np.repeat(values, 5), np.repeat(np.arange(20), 5))
    assert found.error == pytest.approx(stats.sem(values))
    assert found.freedom == 19


def test_few_groups_count_as_none() -> None:
    values = np.random.default_rng(1).normal(1, 2, 60)
    assert estimate(values, np.arange(60) % 3).error == pytest.approx(stats.sem(values))


def test_an_image_correlates_perfectly_with_itself_in_the_circle(noise: torch.Tensor) -> None:
    images = noise * soft_circle(BOX, 0.7, 0.15)  # nothing at the edge that the mask could change
    images = images - images.mean((-2, -1), keepdim=True)
    scorer = Scorer(images, radius=1.0)
    masked = rfft2(images)
    values = scorer.correlation(scorer.rings(masked), 0.0)
    assert values.min() > 0.97
    assert scorer.correlation(scorer.rings(-masked), 0.0).max() < -0.97


def test_noise_has_the_correlation_that_was_mixed_in(noise: torch.Tensor) -> None:
    """White images a and (a + s n) correlate by 1 / sqrt(1 + s^2)."""
    other = torch.randn(noise.shape, generator=torch.Generator().manual_seed(1))
    circle = soft_circle(BOX, 0.9, 0.15)
    scorer = Scorer(noise * circle + 2.0 * other * circle, radius=1.0)
    values = scorer.correlation(scorer.rings(rfft2(noise * circle)), 0.0)
    assert values.mean() == pytest.approx(1 / np.sqrt(5), abs=0.02)
    strangers = scorer.correlation(scorer.rings(rfft2(noise.roll(7, 0) * circle)), 0.0)
    assert abs(strangers.mean()) < 0.02


@pytest.mark.parametrize("envelope", [0.0, 3.0])
def test_the_matrix_holds_the_pairs_on_its_diagonal(noise: torch.Tensor, envelope: float) -> None:
    scorer = Scorer(noise)
    templates = rfft2(noise.roll(1, -1) + noise)
    matrix = scorer.matrix(templates, envelope)
    pairs = scorer.correlation(scorer.rings(templates), envelope)
    np.testing.assert_allclose(np.diag(matrix), pairs, atol=1e-5)


def test_grey_values_do_not_matter(noise: torch.Tensor) -> None:
    templates = rfft2(noise.roll(1, -1))
    scale = torch.linspace(1, 5, COUNT)[:, None, None]
    found = [Scorer(raws).rings(templates) for raws in (noise, 3 + scale * noise)]
    np.testing.assert_allclose(found[0].cross[:, 1:], found[1].cross[:, 1:], rtol=1e-3, atol=1e-2)


def test_a_band_sees_its_frequencies_alone(noise: torch.Tensor) -> None:
    x = torch.arange(BOX, dtype=torch.float32)
    phase = torch.rand(COUNT, 1, 1, generator=torch.Generator().manual_seed(2)) * 6.28
    wave = torch.cos(2 * torch.pi * 3 * x / BOX + phase).expand(-1, BOX, -1)  # ring 3 of 12: u = 0.25
    scorer = Scorer(noise + wave)
    rings = scorer.rings(rfft2(wave))
    inside = scorer.correlation(rings, 0.0, (0.125, 0.25)).mean()
    assert inside > 0.3
    assert abs(scorer.correlation(rings, 0.0, (0.5, 1.0)).mean()) < 0.1
