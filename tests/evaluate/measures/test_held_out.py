"""Scores of images that a classifier has not seen: whole groups held out, and an AUC with its interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from cryoalign.data.images import ParticleImages
from cryoalign.data.normalize import Normalization
from cryoalign.evaluate.finding import Interval
from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.evaluate.measures.two_sample.classifiers import score_by_cnn, spectral_features
from cryoalign.evaluate.measures.two_sample.held_out import NAMES, Side, cross_fit, held_out_auc, two_folds
from cryoalign.evaluate.measures.two_sample.moments import band_moments
from cryoalign.evaluate.measures.two_sample.other_groups import deal_groups
from cryoalign.evaluate.measures.two_sample.sides import read_sides, split_in_two
from cryoalign.evaluate.resampling import Resampling, deal_units
from cryoalign.evaluate.stacks import Stacks
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.physics.spectrum import radial_log_power, ring_count
from tests.fakes.in_memory import blobs, noise

BOX, GROUPS, EACH = 32, 12, 20
COUNT = GROUPS * EACH
GROUP = np.repeat(np.arange(GROUPS), EACH)


def side(group: np.ndarray, features: torch.Tensor | None = None, images: torch.Tensor | None = None) -> Side:
    count = len(group)
    features = torch.empty(count, 0) if features is None else features.double()
    windows = torch.empty(count, 0) if images is None else images[:, None]
    unit = deal_units(group, 0)[0]
    return Side(features, windows, two_folds(group, 0), unit, np.zeros(count, dtype=np.int64))


def auc(fakes: Side, raws: Side, method: str) -> Interval:
    resampling = Resampling(int(fakes.unit.max()) + 1, 300)
    return held_out_auc(fakes, raws, cross_fit(fakes, raws, method), resampling)


def test_noise_whose_strength_does_not_vary_is_told_by_the_squares() -> None:
    """The mean spectrum is right, its spread over images is not."""
    strength = torch.randn(COUNT, generator=torch.Generator().manual_seed(4)).mul(0.2).exp()[:, None, None]
    raw, fake = noise(COUNT, BOX, 5) * strength, noise(COUNT, BOX, 6)
    curves = radial_log_power(raw).mean(0) - radial_log_power(fake).mean(0)
    assert curves[1:].abs().mean() < 0.1
    assert auc(*(side(GROUP, spectral_features(images)) for images in (fake, raw)), "spectrum").low > 0.75


def test_skewed_noise_is_told_by_the_moments_and_not_by_the_power() -> None:
    """Both are white; at 1.34 A/px the background of real particles has a skewness of -0.14."""
    size, rng = 48, np.random.default_rng(22)
    skewed = (100 - rng.gamma(100, 1.0, (COUNT, size, size))) / 10  # a skewness of -0.2
    raw, fake = torch.from_numpy(skewed).float(), torch.from_numpy(rng.normal(size=skewed.shape)).float()
    features = [spectral_features(images) for images in (fake, raw)]
    power = 2 * (ring_count(size) + 1)
    before = auc(*(side(GROUP, entry[:, :power]) for entry in features), "spectrum")
    assert before.low <= 0.5 <= before.high
    assert auc(*(side(GROUP, entry) for entry in features), "spectrum").low > 0.9


def test_moments_by_band_are_those_of_filtered_noise() -> None:
    """Independent values of skewness s, filtered by h: skewness s sum h^3 / (sum h^2)^1.5, kurtosis alike."""
    rng = np.random.default_rng(23)
    for box in (32, 33):
        images = torch.from_numpy(
            rng.exponential(size=(1500, box, box)) - 1
        ).float()  # skewness 2, kurtosis 6
        found = band_moments(images).view(1500, 5, 3)
        error = found.std(0) / 1500**0.5
        masks = [mask for _, mask in band_masks(box, 1.0)]
        y, x = torch.fft.fftfreq(box, 1 / box)[:, None], torch.fft.rfftfreq(box, 1 / box)[None]
        ring = torch.hypot(y, x).round().long()
        for number in range(5):
            passed = ring > 0 if number == 4 else torch.cat([masks[number], torch.zeros(box).bool()])[ring]
            kernel = torch.fft.irfft2(passed.double(), s=(box, box))
            power = float(kernel.square().sum())
            wanted = (power**0.5, 2 * float(kernel.pow(3).sum()) / power**1.5,
                      6 * float(kernel.pow(4).sum()) / power**2)  # fmt: skip
            mean = found[:, number].mean(0)
            assert float(found[:, number, 0].mul(2).exp().mean().sqrt()) == pytest.approx(wanted[0], rel=0.02)
            if number in (3, 4):  # an image has few values in the others: its sd and they go together
                assert abs(float(mean[1]) - wanted[1]) < 4 * float(error[number, 1]) + 0.02
                assert abs(float(mean[2]) - wanted[2]) < 4 * float(error[number, 2]) + 0.1


def test_moments_of_images_without_contrast_are_finite() -> None:
    assert band_moments(torch.ones(2, 16, 16)).isfinite().all()


def test_noise_that_is_not_gaussian_is_told_by_the_cnn() -> None:
    """Both are white; one has rare large values."""
    rng = np.random.default_rng(7)
    raw = torch.from_numpy(rng.laplace(0, 2**-0.5, (COUNT, BOX, BOX))).float()
    fake = torch.from_numpy(rng.normal(0, 1, (COUNT, BOX, BOX))).float()
    assert auc(side(GROUP, images=fake), side(GROUP, images=raw), "cnn").low > 0.9


def test_what_marks_a_group_does_not_count() -> None:
    """Each class has its own mark in every micrograph: learned by heart where images of it are shown."""
    group = np.repeat(np.arange(40), 6)
    rng = np.random.default_rng(8)
    marks = rng.normal(0, 1, (2, 40, 60))
    fakes, raws = (
        side(group, torch.from_numpy(mark[group] + rng.normal(0, 0.2, (240, 60)))) for mark in marks
    )
    found = auc(fakes, raws, "spectrum")
    assert found.low <= 0.5 <= found.high
    by_image = rng.integers(0, 2, 240)
    leaky = (Side(entry.features, entry.windows, by_image, entry.unit, entry.bin) for entry in (fakes, raws))
    assert auc(*leaky, "spectrum").low > 0.9


def test_a_watermark_of_both_classes_does_not_count() -> None:
    sim = blobs(COUNT, BOX, 0)
    marks = 0.5 * noise(GROUPS, BOX, 9)[GROUP]
    marked = [sim + noise(COUNT, BOX, seed) + marks for seed in (2, 1)]
    for method in NAMES:
        found = auc(*(side(GROUP, spectral_features(images), images) for images in marked), method)
        assert found.low <= 0.5 <= found.high


def test_auc_is_that_of_mann_and_whitney_and_its_bootstrap_exact() -> None:
    rng = np.random.default_rng(10)
    fakes, raws = side(GROUP), side(GROUP)
    high, low = (
        rng.integers(2, 14, COUNT).astype(float),
        rng.integers(0, 12, COUNT).astype(float),
    )  # many ties
    resampling = Resampling(GROUPS, 200, seed=1)
    found = held_out_auc(fakes, raws, (high, low), resampling)

    def by_hand(weights: np.ndarray) -> float:
        won = asked = 0.0
        for fold in (0, 1):
            mine, other = (
                np.repeat(score, weights[entry.unit].astype(int) * (entry.fold == fold))
                for entry, score in ((fakes, high), (raws, low))
            )
            if len(mine):
                won, asked = won + mannwhitneyu(mine, other).statistic, asked + len(mine) * len(other)
        return won / asked

    drawn = [by_hand(weights) for weights in resampling.weights.numpy()]
    assert found.value == pytest.approx(by_hand(np.ones(GROUPS)))
    for end, tail in ((found.low, 0.025), (found.high, 0.975)):
        single = (end - found.value) / np.sqrt(2)
        assert single == pytest.approx(np.quantile(drawn, tail) - found.value, abs=1e-9)


def test_intervals_hold_one_half_where_there_is_nothing_to_learn() -> None:
    """Of 40 data sets; without the widening by sqrt(2) some 33 would."""
    group = np.repeat(np.arange(20), 6)
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng([11, seed])
        both = (side(group, torch.from_numpy(rng.normal(size=(120, 10)))) for _ in range(2))
        found = auc(*both, "spectrum")
        covered += found.low <= 0.5 <= found.high
    assert covered >= 36


def test_features_are_the_radial_log_power_and_the_corners() -> None:
    for box in (32, 33):
        images = 5 * noise(40, box, 12)
        found, rings = spectral_features(images), ring_count(box)
        assert found.shape == (40, 2 * rings + 2 + 15 + 9)
        found = found[:, : -15 - 9]  # without the moments and the edges
        torch.testing.assert_close(found[:, :rings].float(), radial_log_power(images), rtol=1e-4, atol=1e-4)
        frequency = torch.fft.fftfreq(box, 1 / box)
        corner = torch.hypot(frequency[:, None], frequency[None]).round() > box // 2
        there = torch.fft.fft2(images.double()).abs().square().log1p()[:, corner]
        torch.testing.assert_close(found[:, rings], there.mean(1))
        torch.testing.assert_close(found[:, -1], there.std(1, unbiased=False), rtol=1e-5, atol=0)
        assert found[:, rings + 8 : -1].mean().item() == pytest.approx(np.pi / np.sqrt(6), rel=0.05)


def test_folds_hold_whole_groups() -> None:
    sizes = np.random.default_rng(13).integers(1, 30, 50)
    group = np.repeat(np.arange(50), sizes)
    fold = two_folds(group, 3)
    assert all(len(np.unique(fold[group == name])) == 1 for name in range(50))
    assert abs(fold.mean() - 0.5) < 0.02
    one, other = split_in_two(group, 3)
    assert sorted([*one, *other]) == list(range(len(group)))
    assert max(abs(np.sum(group[one] == name) - np.sum(group[other] == name)) for name in range(50)) <= 1


def test_other_groups_are_whole_and_as_many() -> None:
    sizes = np.random.default_rng(24).integers(5, 30, 24)
    group = np.repeat(np.arange(24), sizes)
    fold = two_folds(group, 3)
    dealt = deal_groups(group, fold, 3)
    assert dealt is not None
    one, other = dealt
    assert sorted([*one, *other]) == list(range(len(group)))
    assert not set(group[one]) & set(group[other])
    for half in (0, 1):
        counts = [(fold[rows] == half).sum() for rows in dealt]
        assert abs(counts[0] - counts[1]) < 10


@pytest.mark.parametrize("sizes", [(40, 40, 40), (40, 40, 40, 4)])
def test_other_groups_need_two_in_each_half_and_some_images(sizes: tuple[int, ...]) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    fold = (group > 1).astype(np.int64)
    assert deal_groups(group, fold, 0) is None


def test_scores_depend_on_the_seed_alone() -> None:
    images, is_fake = noise(60, BOX, 14)[:, None], torch.arange(60) % 2 == 0
    before = torch.get_rng_state()
    first, second, other = (
        score_by_cnn(images, is_fake, images[:5], epochs=1, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_scores_do_not_depend_on_the_threads() -> None:
    before = torch.get_rng_state()
    sides = [side(GROUP, images=noise(COUNT, BOX, seed)) for seed in (18, 19)]
    alone, together = (cross_fit(*sides, "cnn", epochs=1, threads=threads) for threads in (1, 2))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.realdata
def test_real_raw_against_other_raw_is_one_half(shared_data: Path) -> None:
    particles = read_particles(shared_data / "krios_bgal" / "particles.star")
    images = ParticleImages(particles, locate_stacks(particles), box=64)
    groups = np.unique(particles.micrograph, return_inverse=True)[1].astype(np.int64)
    stacks = Stacks(particles, {"raw": images}, {"raw": Normalization()}, groups)
    raws = read_sides(stacks, np.arange(len(particles)), seed=0)["raw"]
    one, other = (raws.take(rows) for rows in split_in_two(groups, 0))
    for method in NAMES:
        found = held_out_auc(one, other, cross_fit(one, other, method), Resampling(stacks.unit_count))
        assert found.low <= 0.5 <= found.high
        assert found.high - found.low < 0.2
