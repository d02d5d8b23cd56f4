"""Intervals: they cover the truth as often as they say, and keep groups whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.evaluate.finding import Interval, Quantity, Verdict, decide, together
from cryoalign.evaluate.resampling import MOST_UNITS, Resampling, deal_units


def test_groups_are_dealt_out_whole_and_evenly() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(200), rng.integers(5, 40, 200))
    units, whole = deal_units(group, seed=1)
    assert whole
    assert units.max() + 1 == MOST_UNITS
    assert all(len(np.unique(units[group == name])) == 1 for name in range(200))
    sizes = np.bincount(units)
    assert sizes.max() - sizes.min() <= 40


def test_few_groups_are_resampled_by_image() -> None:
    units, whole = deal_units(np.repeat(np.arange(3), 50), seed=1)
    assert not whole
    assert units.max() + 1 == MOST_UNITS
    assert deal_units(np.zeros(5, dtype=np.int64), seed=0)[0].tolist() != [0] * 5


def test_intervals_of_a_mean_cover_it() -> None:
    """Of 200 data sets with strong differences between groups, about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(2)
    groups, each = 30, 10
    unit = np.repeat(np.arange(groups), each)
    resampling = Resampling(groups, draws=400, seed=3)
    covered = naive = 0
    for _ in range(200):
        values = rng.normal(0, 1, groups)[unit] + rng.normal(0, 1, groups * each)
        found = resampling.of_mean(values, unit)
        covered += found.low <= 0 <= found.high
        half = 1.96 * values.std() / np.sqrt(len(values))
        naive += abs(values.mean()) <= half
    assert 176 <= covered <= 198
    assert naive < 140  # images taken one by one would be far too sure


def test_median_and_ratio_against_their_definition() -> None:
    rng = np.random.default_rng(4)
    values, unit = rng.normal(5, 1, 301), rng.integers(0, 20, 301)
    resampling = Resampling(20, draws=500, seed=0)
    found = resampling.of_median(values, unit)
    assert found.value == np.median(values)
    by_hand = [
        np.median(np.repeat(values, draw[unit].astype(int))) for draw in resampling.weights.numpy()[:500]
    ]
    assert found.low == pytest.approx(np.quantile(by_hand, 0.025), abs=0.05)
    assert found.high == pytest.approx(np.quantile(by_hand, 0.975), abs=0.05)
    above, below = torch.arange(1.0, 21.0), torch.full((20,), 2.0)
    assert resampling.of(lambda a, b: a / b, above, below).value == 5.25


def test_what_cannot_be_told_is_not_a_number() -> None:
    one = Resampling(1).of_mean([1.0, 2.0], np.zeros(2, dtype=np.int64))
    assert one.value == 1.5
    assert np.isnan(one.low)
    nothing = Resampling(4).of(lambda a, b: a / b, torch.zeros(4), torch.zeros(4))
    assert np.isnan(nothing.value)
    assert decide(nothing, 1.0) is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("value", "above", "verdict"),
    [
        ((1.0, 0.9, 1.1), True, "pass"),
        ((1.3, 1.1, 1.5), True, "undecided"),
        ((1.3, 1.25, 1.5), True, "fail"),
        ((1.3, 1.25, 1.5), False, "pass"),
        ((1.0, 0.9, 1.1), False, "fail"),
    ],
)
def test_decisions(value: tuple[float, float, float], above: bool, verdict: str) -> None:
    assert decide(Interval(*value), 1.2, above=above) == verdict


def test_verdicts_joined() -> None:
    passed, failed, undecided = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED
    assert together(passed, undecided) is undecided
    assert together(passed, undecided, failed) is failed
    assert together(passed, passed) is passed


def test_the_worst_bin_is_furthest_from_what_is_perfect() -> None:
    bins = (Interval(1.1, 1, 1.2), None, Interval(0.6, 0.5, 0.7), Interval(float("nan"), 0, 0))
    value = Interval(1.0, 0.9, 1.1)
    assert Quantity("a", "a", value, target=1.0, bins=bins).worst_bin == 2
    assert Quantity("a", "a", value, floor=Interval(0.5, 0.4, 0.6), bins=bins).worst_bin == 0
    assert Quantity("a", "a", value).worst_bin is None


def test_replicates_of_large_sums_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = torch.rand(16, 32, 17, generator=torch.Generator().manual_seed(5))
    resampling, seen = Resampling(16, draws=300), []

    def spread(total: torch.Tensor) -> torch.Tensor:
        seen.append(len(total))
        return total.flatten(1).std(1)

    whole = resampling.of(spread, planes)
    monkeypatch.setattr("cryoalign.evaluate.resampling._NUMBERS_AT_ONCE", 70 * planes[0].numel())
    parts = resampling.of(spread, planes)
    assert seen == [1, 300, 1, 70, 70, 70, 70, 20]
    assert [parts.value, parts.low, parts.high] == pytest.approx([whole.value, whole.low, whole.high])
