"""Memory: a memorizer is caught by its own pairs and by copies in any position, chance is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Interval, Verdict
from cryoalign.evaluate.measures.memorization.copies import largest_correlations, whitened_residuals
from cryoalign.evaluate.measures.memorization.measure import MemorizationMeasure
from tests.fakes.in_memory import blobs, noise, pairs

BOX, TRAINED, HELD = 32, 240, 120
TRAIN_GROUPS, HELD_GROUPS = np.arange(TRAINED) // 20, np.arange(HELD) // 10


def turned(images: torch.Tensor) -> torch.Tensor:
    """One after the other in another of the eight positions."""
    made = [torch.rot90(image, row % 4, (-2, -1)) for row, image in enumerate(images)]
    return torch.stack([image.flip(-1) if row % 8 >= 4 else image for row, image in enumerate(made)])


@pytest.fixture(scope="module")
def known() -> dict[str, torch.Tensor]:
    train_noise = noise(TRAINED, BOX, 1)
    train_sim, sim = blobs(TRAINED, BOX, 2), blobs(HELD, BOX, 3)
    return {
        "train_sim": train_sim,
        "train_noise": train_noise,
        "train_raw": train_sim + train_noise,
        "honest_train": 0.9 * train_sim + noise(TRAINED, BOX, 4),
        "sim": sim,
        "raw": sim + noise(HELD, BOX, 5),
        "honest": 0.9 * sim + noise(HELD, BOX, 6),
    }


def judge(known, fake: torch.Tensor, train_fake: torch.Tensor | None) -> tuple[Finding, dict[str, Interval]]:
    train = {"raw": known["train_raw"], "sim": known["train_sim"]}
    train |= {} if train_fake is None else {"fake": train_fake}
    case = Case(
        pairs(HELD_GROUPS, fake=fake, raw=known["raw"], sim=known["sim"]),
        train=pairs(TRAIN_GROUPS, **train),
        draws=300,
    )
    finding = MemorizationMeasure()(case)
    return finding, {key: quantity.fake for key, quantity in finding.quantities.items()}


def test_honest_fakes_pass(known) -> None:
    finding, of = judge(known, known["honest"], known["honest_train"])
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.PASS
    assert not finding.left_out
    assert of["memory_gap"].low <= 0 <= of["memory_gap"].high
    assert of["copied"].value <= 0.01
    assert abs(of["copy_excess"].value) < 0.01
    assert "0.0 %" in answer.explanation


def test_noise_of_the_own_raw_images_fails_by_the_gap(known) -> None:
    """Half of the power of the training fakes is their raw images' noise, that of held-out ones is new."""
    half = 0.9 * known["train_sim"] + (known["train_noise"] + noise(TRAINED, BOX, 7)) / 2**0.5
    finding, of = judge(known, known["honest"], half)
    assert finding.answers["memorized"].verdict is Verdict.FAIL
    assert of["memory_gap"].value == pytest.approx(0.5**0.5, abs=0.02)
    difference = of["own_noise_train"].value - of["own_noise_held_out"].value
    assert difference == pytest.approx(of["memory_gap"].value)
    assert of["copied"].value <= 0.01
    assert finding.answers["memorized"].quantity == "memory_gap"


def test_turned_copies_fail_without_fakes_of_training_pairs(known) -> None:
    copies = 0.9 * known["sim"] + turned(known["train_noise"][50 : 50 + HELD])
    finding, of = judge(known, copies, None)
    assert finding.answers["memorized"].verdict is Verdict.FAIL
    assert of["copied"].value == 1
    assert of["copy_correlation"].value > 0.97
    assert "memory_gap" not in of
    assert "train.fake=" in finding.left_out[0]
    assert "100.0 %" in finding.answers["memorized"].explanation


def test_a_tenth_of_copies_is_a_tenth(known) -> None:
    fakes = known["honest"].clone()
    fakes[::10] = 0.9 * known["sim"][::10] + known["train_noise"][100:112]
    finding, of = judge(known, fakes, known["honest_train"])
    assert finding.answers["memorized"].verdict is Verdict.FAIL
    assert of["copied"].value == pytest.approx(0.1, abs=0.01)


def test_distances_are_told_relative_to_held_out_pairs(known) -> None:
    train_fake = known["train_raw"] + 0.02 * (known["honest_train"] - known["train_raw"])
    finding, of = judge(known, known["honest"], train_fake)
    train, held = (
        np.abs(known[raw].numpy() - fake.numpy()).mean()
        for raw, fake in (("train_raw", train_fake), ("raw", known["honest"]))
    )
    assert of["pixel_l1_gap"].value == pytest.approx((train - held) / held, rel=1e-4)
    quantity = finding.quantities["rpsd_l1_gap"]
    assert quantity.fake.high < 0
    assert quantity.floor.low <= 0 <= quantity.floor.high


def test_residuals_are_free_of_content_white_and_of_length_one() -> None:
    sims, own = blobs(200, BOX, 8), noise(200, BOX, 9)
    weak, strong = (whitened_residuals(own + gain * sims, sims).flatten(1) for gain in (0.5, 3.0))
    assert (weak * strong).sum(1).min() > 0.999
    other = whitened_residuals(noise(200, BOX, 10) + sims, sims).flatten(1)
    table = weak @ other.T
    assert weak.norm(dim=1).numpy() == pytest.approx(np.ones(200), abs=1e-5)
    assert table.std().item() == pytest.approx(1 / BOX, rel=0.05)
    assert abs(table.mean().item()) < 5e-4


def test_chance_is_known_from_fewer_images() -> None:
    """Forty held-out images tell what the largest correlation with 800 training images would be by chance."""
    white = whitened_residuals(noise(1000, BOX, 11), blobs(1000, BOX, 12))
    groups = torch.arange(160) // 4
    found = largest_correlations(white[:160], white[200:], white[160:200], groups, -1 - torch.arange(40))
    assert float((found.training - found.chance).mean()) == pytest.approx(0, abs=0.003)
    assert (found.training > found.alarm).double().mean() <= 0.0125
    assert found.alarm < 0.25


def test_one_noise_for_all_fakes_is_no_copy() -> None:
    """All fakes then have the same chance, which may be low by luck, and no spread."""
    white = whitened_residuals(noise(300, BOX, 13), blobs(300, BOX, 14))
    groups, flagged = torch.arange(30), 0
    for row in range(20):
        same = white[row].expand(30, -1, -1)
        found = largest_correlations(same, white[160:], white[30:160], groups, -1 - torch.arange(130))
        flagged += int((found.training > found.alarm).any())
    assert flagged == 0


def test_fakes_without_noise_have_nothing_to_remember(known) -> None:
    finding, of = judge(known, known["sim"], known["train_sim"])
    assert finding.answers["memorized"].verdict is Verdict.PASS
    assert of["memory_gap"].value == pytest.approx(0, abs=0.01)


def test_what_is_missing_is_said(known) -> None:
    fake, raw, sim = known["honest"], known["raw"], known["sim"]
    held = pairs(HELD_GROUPS, fake=fake, raw=raw, sim=sim)
    without = MemorizationMeasure()(Case(held))
    assert without.answers == without.quantities == {}
    assert "train.raw=" in without.left_out[0]
    one_group = pairs(np.zeros(HELD), fake=fake, raw=raw, sim=sim)
    train = pairs(TRAIN_GROUPS, fake=known["honest_train"], raw=known["train_raw"], sim=known["train_sim"])
    finding = MemorizationMeasure()(Case(one_group, train=train, draws=100))
    assert "there are 0" in finding.left_out[0]
    assert finding.answers["memorized"].verdict is Verdict.PASS
    assert (
        MemorizationMeasure()(Case(one_group, train=pairs(TRAIN_GROUPS, raw=known["train_raw"]))).answers
        == {}
    )
