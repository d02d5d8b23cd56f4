"""Verdicts on truth and noise are relative to what real noise reaches; the numbers stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Verdict, reachable
from cryoalign.evaluate.measures.content.measure import ContentMeasure
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from tests.fakes.in_memory import blobs, noise, pairs

GROUP = np.repeat(np.arange(12), 20)
SIM = blobs(240, 32, 0)
#: What sim knows nothing of: the field around each particle.
TRUTH = SIM + 0.7 * noise(240, 32, 5)
RAW = TRUTH + noise(240, 32, 1)


def judge(fake: torch.Tensor, reached: dict[str, float]) -> tuple[Finding, Finding]:
    case = Case(pairs(GROUP, fake=fake, raw=RAW, sim=SIM, truth=TRUTH), draws=300)
    case = replace(case, reached=reached)
    return ContentMeasure()(case), NoiseMeasure()(case)


@pytest.fixture(scope="module")
def transplanted() -> tuple[Finding, Finding]:
    """What raw's own residual, of another particle, gives on sim: it holds a field as well."""
    return judge(SIM + (RAW - SIM).roll(1, 0), {})


@pytest.fixture(scope="module")
def reached(transplanted: tuple[Finding, Finding]) -> dict[str, float]:
    return {key: entry.fake.value for found in transplanted for key, entry in found.quantities.items()}


def test_what_real_noise_reaches_is_enough(transplanted: tuple[Finding, Finding], reached) -> None:
    content, left = transplanted
    assert content.answers["truth"].verdict is Verdict.FAIL
    assert left.answers["noise"].verdict is Verdict.FAIL
    fake = SIM + (RAW - SIM).roll(7, 0)  # of yet other particles
    for before, after in zip(judge(fake, {}), judge(fake, reached), strict=True):
        assert before.quantities == after.quantities
        for key, answer in after.answers.items():
            if key in ("truth", "noise"):
                assert before.answers[key].verdict is Verdict.FAIL
                assert answer.verdict is Verdict.PASS
                assert "transplant" in answer.explanation
                assert "transplant" not in before.answers[key].explanation
            else:
                assert answer == before.answers[key]


def test_what_real_noise_does_not_reach_is_not_asked_and_less_still_fails(reached) -> None:
    content, left = judge(0.3 * SIM + 0.7 * (RAW - SIM).roll(7, 0), reached)
    assert content.answers["truth"].verdict is Verdict.FAIL
    assert left.answers["noise"].verdict is Verdict.FAIL


def test_what_is_better_than_real_noise_on_sim_passes(transplanted, reached) -> None:
    """Truth and fresh noise, the oracle: raw's power, where real noise on sim has the field's as well."""
    powers = [
        entry.fake.value for key, entry in transplanted[1].quantities.items() if "noise_power_ratio" in key
    ]
    assert max(powers) > 1.25
    oracle = TRUTH + noise(240, 32, 9)
    for content, left in (judge(oracle, reached), judge(oracle, {})):
        assert content.answers["truth"].verdict is Verdict.PASS
        assert left.answers["noise"].verdict is Verdict.PASS


@pytest.mark.parametrize("strength", [0.8, 1.5])
def test_what_lies_beyond_both_fails(strength: float, reached) -> None:
    """Noise of 0.64 times raw's power, and of 2.25 times that of real noise on sim."""
    fake = SIM + strength * (RAW - SIM).roll(7, 0) if strength > 1 else TRUTH + strength * noise(240, 32, 9)
    assert judge(fake, reached)[1].answers["noise"].verdict is Verdict.FAIL


def test_what_is_perfect_lies_between_raw_and_what_is_reached() -> None:
    assert reachable(0.5) == (0.5, 1.0)
    assert reachable(1.5) == (1.0, 1.5)
    for nothing in (None, 0.0, -1.0, float("nan")):
        assert reachable(nothing) == (1.0, 1.0)
