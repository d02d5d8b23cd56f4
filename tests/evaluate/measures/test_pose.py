"""Fakes at the right pose, off it, and where noise leaves nothing to be said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cryoalign.evaluate.finding import Finding, Quantity, Verdict
from cryoalign.evaluate.measures.pose.measure import PoseMeasure
from cryoalign.particles import Particles
from tests.audit.known_pairs import particles, specimen
from tests.fakes.blobs import case, noise, off_pose, views

COUNT = 50


@pytest.fixture(scope="module")
def table() -> Particles:
    return particles(COUNT)


def judge(table: Particles, fakes: torch.Tensor, loud: float = 1.0, *, reference: bool = True) -> Finding:
    given = case(table, fakes, loud=loud, volume=specimen() if reference else None)
    return PoseMeasure(images=COUNT)(given)


def quantity(finding: Finding, key: str) -> Quantity:
    return finding.quantities[key]


@pytest.mark.parametrize("reference", [True, False], ids=["map", "map made of sims"])
def test_the_right_pose_passes(table: Particles, reference: bool) -> None:
    finding = judge(table, views(table) + noise(COUNT, 1), reference=reference)
    (answer,) = finding.answers.values()
    assert (answer.key, answer.verdict) == ("pose", Verdict.PASS), answer.explanation
    angle, shift = quantity(finding, "pose_angle"), quantity(finding, "pose_shift")
    assert angle.fake.value == pytest.approx(angle.floor.value, rel=0.4)
    assert angle.ceiling.value < 1 < angle.floor.value
    assert shift.fake.high < 4
    assert angle.fake.low <= angle.fake.value <= angle.fake.high


def test_poses_off_by_fifteen_degrees_fail(table: Particles) -> None:
    fakes = views(off_pose(table, 15)) + noise(COUNT, 1)
    finding = judge(table, fakes, reference=False)
    assert finding.answers["pose"].verdict is Verdict.FAIL, finding.answers["pose"].explanation
    assert quantity(finding, "pose_angle").fake.value == pytest.approx(15, abs=2)
    assert quantity(finding, "pose_within_5_degrees").fake.value < 0.2


def test_a_shift_of_two_pixels_fails(table: Particles) -> None:
    finding = judge(table, (views(table) + noise(COUNT, 1)).roll(2, -1))
    assert finding.answers["pose"].verdict is Verdict.FAIL, finding.answers["pose"].explanation
    assert quantity(finding, "pose_shift").fake.value == pytest.approx(8, abs=1)
    angle = quantity(finding, "pose_angle")
    assert angle.fake.value == pytest.approx(angle.floor.value, rel=0.4)


def test_clean_fakes_pass_with_smaller_errors(table: Particles) -> None:
    finding = judge(table, views(table))
    assert finding.answers["pose"].verdict is Verdict.PASS
    angle = quantity(finding, "pose_angle")
    assert angle.fake.high < 0.6 * angle.floor.value


def test_where_raw_does_not_align_nothing_is_said(table: Particles) -> None:
    finding = judge(table, noise(COUNT, 1), loud=30)
    assert finding.answers["pose"].verdict is Verdict.UNDECIDED
    assert "noisy" in finding.answers["pose"].explanation
    assert quantity(finding, "pose_angle").floor.value > 14
    # Unless the fakes align by themselves.
    assert judge(table, views(table) + noise(COUNT, 1), loud=30).answers["pose"].verdict is Verdict.PASS


def test_defocus_bins(table: Particles) -> None:
    """The half that is far from focus is off its pose."""
    many = particles(100)
    far = many.defocus[:, 0] > sorted(many.defocus[:, 0])[50]
    wrong = off_pose(many, 15)
    half = replace(
        many,
        angles=torch.where(
            torch.tensor(far)[:, None], *map(torch.from_numpy, (wrong.angles, many.angles))
        ).numpy(),
    )
    finding = PoseMeasure(images=100)(case(many, views(half) + 0.3 * noise(100, 1), volume=specimen()))
    angle = quantity(finding, "pose_angle")
    assert len(angle.bins) == 2
    assert angle.worst_bin == 1
    assert angle.bins[0].value < 3
    assert angle.bins[1].value > 12
