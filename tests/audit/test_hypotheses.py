"""Hypotheses have different names, a line and a remedy each, and images that differ from those given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.audit.hypotheses.every import every_hypothesis
from cryoalign.audit.hypotheses.hypothesis import AsGiven, Basis, Hypothesis
from cryoalign.audit.hypotheses.shift import describe_factor
from cryoalign.audit.transfer import Transfer
from cryoalign.particles import Particles
from tests.audit import known_pairs as made

FAMILIES = {"contrast", "orientation", "rows", "shift", "pixel size", "CTF", "defocus", "pose"}


def premultiplied(table: Particles) -> Particles:
    return replace(table, optics=tuple(replace(group, premultiplied=True) for group in table.optics))


def every(known: Particles, truth: torch.Tensor, kind: str) -> list[Hypothesis]:
    few, images = known.take(np.arange(24)), truth[:24]
    table = replace(few, phase_shift=np.full(24, 90.0)) if kind == "phase plate" else few
    table = premultiplied(table) if kind == "premultiplied" else table
    sample = made.pairs(images, images, table)
    if kind == "disagreement":
        sample = replace(sample, raw=replace(few, shift=-few.shift), disagreement="row 1: shift")
    carried = Transfer(2 if kind == "premultiplied" else 1)
    return list(every_hypothesis(Basis(sample, carried)))


@pytest.mark.parametrize("kind", ["plain", "premultiplied", "phase plate", "disagreement"])
def test_each_explains_itself(known: Particles, truth: torch.Tensor, kind: str) -> None:
    found = every(known, truth, kind)
    assert len({hypothesis.name for hypothesis in found}) == len(found)
    more = {"phase shift"} if kind == "phase plate" else set()
    assert {hypothesis.family for hypothesis in found} == FAMILIES | more
    given = AsGiven(found[0].basis).images()
    for hypothesis in found:
        explanation = hypothesis.explanation
        assert explanation.line
        assert explanation.remedy
        assert (hypothesis.factor is not None) == bool(hypothesis.scan and hypothesis.value is not None)
        images = hypothesis.images()
        assert images.shape == given.shape
        alike = hypothesis.name == "CTF as the raw metadata claim"  # the CTF is the same here
        assert alike or not torch.allclose(images, given, rtol=1e-3, atol=1e-3), hypothesis.name


def test_the_raw_metadata_are_tried_where_they_disagree(known: Particles, truth: torch.Tensor) -> None:
    names = [hypothesis.name for hypothesis in every(known, truth, "disagreement")]
    for quantity in ("CTF", "shift", "pose"):
        assert f"{quantity} as the raw metadata claim" in names


@pytest.mark.parametrize(
    ("factor", "effect"),
    [
        (-1.05, "the wrong sign"),
        (0.02, "no effect"),
        (1.35, "A and px exchanged at 1.34 A/px"),
        (0.75, "A and px exchanged"),
        (2.0, "another pixel size"),
    ],
)
def test_a_factor_on_the_shift_is_named_after_its_cause(factor: float, effect: str) -> None:
    assert effect in describe_factor(factor, 1.34)
