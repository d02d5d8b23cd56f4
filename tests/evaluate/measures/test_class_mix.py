"""Cramer's V of known mixes is what it should be, and fakes of another look fall into other classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from cryoalign.cli import CONF_DIR
from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.finding import Verdict
from cryoalign.evaluate.measures.class_mix import relion
from cryoalign.evaluate.measures.class_mix.cramer import (
    chi_squared,
    contingency,
    cramers_v,
    permuted_within,
    strata,
)
from cryoalign.evaluate.measures.class_mix.measure import ClassMixMeasure
from cryoalign.evaluate.measures.class_mix.rotational import classify, rotational_features
from cryoalign.evaluate.outputs import ON_REQUEST, measures_of
from tests.fakes.in_memory import noise, pairs

KINDS = np.arange(640) % 2 == 1
GROUPS = np.arange(640) // 20


def drawn(rng: np.random.Generator, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Classes of 640 images, of the first kind by one mix, of the second by the other."""
    chosen = [rng.choice(len(one), 640, p=mix) for mix in (one, other)]
    return np.where(KINDS, *reversed(chosen)).astype(np.int64)


def test_chi_squared_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    table = contingency(KINDS, drawn(rng, np.full(10, 0.1), np.full(10, 0.1)))
    assert chi_squared(table) == pytest.approx(chi2_contingency(table, correction=False).statistic)
    plain = float(association(table.astype(int), method="cramer"))
    assert np.sqrt(chi_squared(table) / 640) == pytest.approx(plain)


def test_equal_mixes_have_a_v_of_zero_within_the_interval() -> None:
    """Where the plain V is sqrt(9 / 640) = 0.12 on average."""
    rng = np.random.default_rng(1)
    mix = np.arange(1, 11) / 55
    found = [cramers_v(KINDS, drawn(rng, mix, mix), GROUPS, 200, seed) for seed in range(60)]
    assert sum(interval.low == 0 for interval in found) >= 55
    assert np.mean([interval.value for interval in found]) < 0.05
    assert all(interval.low <= interval.value <= interval.high for interval in found)


def test_unequal_mixes_have_their_v() -> None:
    """With as many of both kinds, V^2 = sum (p - q)^2 / (2 (p + q))."""
    rng = np.random.default_rng(2)
    one = np.array([0.3, 0.1, 0.1, 0.2, 0.3])
    other = np.array([0.2, 0.2, 0.15, 0.15, 0.3])
    v = np.sqrt((np.square(one - other) / (2 * (one + other))).sum())
    found = [cramers_v(KINDS, drawn(rng, one, other), GROUPS, 200, seed) for seed in range(60)]
    squares = np.mean([interval.value**2 for interval in found])
    assert np.sqrt(squares) == pytest.approx(v, rel=0.1)
    assert sum(interval.low <= v <= interval.high for interval in found) >= 54
    assert cramers_v(KINDS, KINDS.astype(np.int64), GROUPS, 200, 0).value == pytest.approx(1, abs=0.01)
    assert cramers_v(KINDS, np.ones(640, dtype=np.int64), GROUPS, 200, 0).high == 0


def test_kinds_are_exchanged_within_groups_only() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 7, 640)
    exchanged = permuted_within(KINDS, groups, rng)
    assert (exchanged != KINDS).any()
    for group in range(7):
        assert exchanged[groups == group].sum() == KINDS[groups == group].sum()


def test_one_image_a_group_can_fail() -> None:
    """Nothing can be exchanged within a group then, nor within groups of one kind: all are taken together."""
    single = np.arange(640)
    apart = np.where(np.random.default_rng(4).random(640) < 0.05, ~KINDS, KINDS).astype(np.int64)
    one_kind = np.where(KINDS, 0, 1 + np.arange(640) // 40)  # raw of one micrograph, fakes of others
    for groups in (single, one_kind, GROUPS):
        found = cramers_v(KINDS, apart, groups, 200, 0)
        assert found.value == pytest.approx(0.9, abs=0.05)
        assert found.low > 0.8
    rng = np.random.default_rng(5)
    mix = np.full(10, 0.1)
    alike = [cramers_v(KINDS, drawn(rng, mix, mix), single, 200, seed) for seed in range(40)]
    assert sum(interval.low == 0 for interval in alike) >= 36
    whole = [cramers_v(KINDS, drawn(rng, mix, mix), GROUPS, 200, seed) for seed in range(40)]
    assert np.mean([v.high for v in alike]) == pytest.approx(np.mean([v.high for v in whole]), rel=0.25)


def test_strata_hold_both_kinds() -> None:
    second = np.array([True, False, True, True, False, True, False])
    groups = np.array([7, 7, 3, 4, 5, 9, 9])
    np.testing.assert_array_equal(strata(second, groups[:] * 10), strata(second, groups))
    found = strata(second, groups)
    assert found[2] == found[3] == found[4]
    assert len(set(found[[0, 2, 5]])) == 3
    few = strata(second[[0, 1, 2, 5, 6, 6]], np.array([7, 7, 3, 9, 9, 9]))  # the one alone is of one kind
    np.testing.assert_array_equal(few[:3], few[0])
    np.testing.assert_array_equal(few[3:], few[3])
    assert few[0] != few[3]
    np.testing.assert_array_equal(strata(np.ones(3, dtype=bool), np.arange(3)), 0)


def stars(count: int, seed: int, *, arms: int, box: int = 32) -> torch.Tensor:
    """Particles of so many arms, turned at random."""
    axis = torch.arange(float(box)) - box // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    turn = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 2 * torch.pi
    return (1 + (arms * (angle[None] - turn[:, None, None])).cos()) * torch.exp(-((radius - 7) ** 2) / 8)


def test_rotational_features_stay_when_an_image_is_turned() -> None:
    image = stars(1, 0, arms=3)
    one, quarter = rotational_features(image), rotational_features(image[:, 1:, 1:].rot90(1, (-2, -1)))
    odd = rotational_features(image[:, 1:, 1:])  # turned about its middle pixel
    torch.testing.assert_close(quarter, odd, rtol=1e-4, atol=1e-4)
    turned = rotational_features(stars(1, 5, arms=3))
    assert (turned - one).norm() < 0.05 * one.norm()
    assert (rotational_features(stars(1, 5, arms=2)) - one).norm() > 0.5 * one.norm()


def test_k_means_finds_the_classes() -> None:
    images = torch.cat([stars(60, arms, arms=arms) for arms in (2, 3, 4)]) + 0.3 * noise(180, 32, 1)
    found = classify(images, classes=3, seed=0).reshape(3, 60)
    assert sorted(np.bincount(row, minlength=3).argmax() for row in found) == [0, 1, 2]
    assert all(np.bincount(row).max() > 55 for row in found)
    np.testing.assert_array_equal(found.ravel(), classify(images, classes=3, seed=0))


def case(fake: torch.Tensor, raw: torch.Tensor) -> Case:
    return Case(pairs(np.arange(len(raw)) // 20, fake=fake, raw=raw, sim=raw), draws=200)


def mixed(seed: int, share: float) -> torch.Tensor:
    """400 particles, so many of them of three arms and the others of two, with noise."""
    three = torch.rand(400, generator=torch.Generator().manual_seed(seed + 100)) < share
    particles = torch.where(three[:, None, None], stars(400, seed, arms=3), stars(400, seed, arms=2))
    return particles + 0.3 * noise(400, 32, seed)


def test_fakes_of_the_same_look_pass_and_of_another_fail() -> None:
    measure = ClassMixMeasure(classes=4, program="kmeans")
    finding = measure(case(mixed(1, 0.5), mixed(2, 0.5)))
    v = finding.quantities["cramers_v"]
    assert finding.answers["class_mix"].verdict is Verdict.PASS
    assert v.fake.low == v.floor.low == 0
    other = measure(case(mixed(1, 0.9), mixed(2, 0.5)))
    wanted = np.sqrt(0.4**2 / (2 * 1.4) + 0.4**2 / (2 * 0.6))  # shares of 0.9 and 0.5, of 0.1 and 0.5
    assert other.answers["class_mix"].verdict is Verdict.FAIL
    found = other.quantities["cramers_v"].fake
    assert found.low < wanted < found.high
    chart = other.charts["classes"].series
    assert sum(chart["fake"].y) == pytest.approx(1)


def test_fakes_of_another_look_fail_with_one_image_a_micrograph_too() -> None:
    measure = ClassMixMeasure(classes=4, program="kmeans")
    for share, verdict in ((0.5, Verdict.PASS), (0.9, Verdict.FAIL)):
        stacks = pairs(np.arange(400), fake=mixed(1, share), raw=mixed(2, 0.5), sim=mixed(2, 0.5))
        assert measure(Case(stacks, draws=200)).answers["class_mix"].verdict is verdict


def test_the_floor_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def by_chance(images: torch.Tensor, **_: int) -> np.ndarray:
        asked.append(len(images))
        return np.arange(len(images)) % 3

    monkeypatch.setattr("cryoalign.evaluate.measures.class_mix.rotational.classify", by_chance)
    given, floors = case(mixed(1, 0.5), mixed(2, 0.5)), Floors()
    for _ in range(2):
        ClassMixMeasure(images=300, program="kmeans")(replace(given, floors=floors))
    assert asked == [300, 300, 300]


def test_too_few_are_left_out_with_the_reason() -> None:
    images = noise(60, 32, 1)
    finding = ClassMixMeasure()(case(images, images))
    assert not finding.answers
    assert "200 pairs, and there are 60" in finding.left_out[0]


@pytest.mark.relion
@pytest.mark.slow
@pytest.mark.skipif(not relion.installed(), reason="RELION is not installed")
def test_relion_sorts_discs_and_rings() -> None:
    """It writes images by micrograph: their classes have to come back in the order that was given."""
    axis = torch.arange(32.0) - 16
    radius = torch.hypot(axis[:, None], axis[None])
    shapes = (torch.exp(-(radius**2) / 18), torch.exp(-((radius - 9) ** 2) / 4))
    images = torch.cat([2 * shape + noise(60, 32, seed) for seed, shape in enumerate(shapes, start=7)])
    particles = pairs(np.arange(120) % 6, raw=images).particles
    particles = replace(particles, micrograph=np.array([f"m{row % 6}.mrc" for row in range(120)]))
    found = relion.classify(images, particles, 2.0, classes=4, iterations=5, seed=0, threads=1)
    assert found.min() >= 1
    assert found.max() <= 4
    assert cramers_v(np.arange(120) < 60, found, np.arange(120) % 6, 100, 0).low > 0.3


@pytest.mark.skipif(not relion.installed(), reason="RELION is not installed")
def test_a_failure_of_relion_is_told_with_the_remedy() -> None:
    images = noise(40, 32, 1)
    particles = pairs(np.arange(40) // 10, raw=images).particles
    with pytest.raises(InputError, match="program=kmeans"):
        relion.classify(images, particles, 2.0, classes=-1, iterations=1, seed=0, threads=1)


def test_it_is_taken_where_it_is_named() -> None:
    settings = OmegaConf.load(Path(CONF_DIR) / "evaluate.yaml").measure
    assert not set(ON_REQUEST) & set(measures_of(None, settings))
    assert set(ON_REQUEST) < set(settings)
    assert isinstance(measures_of("class_mix", settings)["class_mix"], ClassMixMeasure)
