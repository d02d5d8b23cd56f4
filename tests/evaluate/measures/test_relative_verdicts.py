"""Verdicts on truth and noise are relative to what real noise reaches; the numbers stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Interval, Verdict, relative
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


def test_a_value_is_relative_where_something_is_reached() -> None:
    value = Interval(0.6, 0.5, 0.7)
    assert relative(value, 0.5) == Interval(1.2, 1.0, 1.4)
    for nothing in (None, 0.0, -1.0, float("nan")):
        assert relative(value, nothing) == value
