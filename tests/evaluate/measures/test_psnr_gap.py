"""The PSNR gap is 0 for fakes that are like raw, and what wrong noise or a wrong contrast costs otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.finding import Finding, Verdict
from cryoalign.evaluate.measures.networks import seeded, turned
from cryoalign.evaluate.measures.psnr_gap.denoiser import DnCNN, squared_errors, train_denoiser
from cryoalign.evaluate.measures.psnr_gap.measure import PSNRGapMeasure, _gap
from tests.fakes.in_memory import blobs, noise, pairs

BOX, GROUP = 24, np.repeat(np.arange(12), 10)
TRUTH = 2 * blobs(len(GROUP), BOX, 0)
RAW = TRUTH + noise(len(GROUP), BOX, 1)
SMALL = {"images": 120, "box": BOX, "steps": 60, "seeds": 2}


def judge(fake: torch.Tensor, floors: Floors | None = None) -> Finding:
    case = Case(pairs(GROUP, fake=fake, raw=RAW, sim=0.3 * TRUTH, truth=TRUTH), draws=200)
    return PSNRGapMeasure(**SMALL)(case if floors is None else replace(case, floors=floors))


def test_fakes_like_raw_have_no_gap_and_fakes_without_noise_a_large_one() -> None:
    floors = Floors()
    alike = judge(TRUTH + noise(len(GROUP), BOX, 2), floors)
    gap = alike.quantities["psnr_gap"].fake
    assert abs(gap.value) < 0.5
    assert gap.low < 0.1
    assert alike.answers["psnr_gap"].verdict is not Verdict.FAIL
    clean = judge(TRUTH + 0.1 * noise(len(GROUP), BOX, 2), floors)
    assert clean.answers["psnr_gap"].verdict is Verdict.FAIL
    assert clean.quantities["psnr_gap"].fake.low > 3
    shown = clean.quantities["psnr"]
    assert shown.floor == alike.quantities["psnr"].floor
    assert shown.floor.value - shown.fake.value == pytest.approx(clean.quantities["psnr_gap"].fake.value)
    assert clean.quantities["psnr_gap"].note.startswith("by seed: ")


def test_fakes_that_are_raw_images_have_no_gap_at_all() -> None:
    """The sim's scale does not matter: it is that of the truth after a fit."""
    found = judge(RAW)
    assert found.quantities["psnr_gap"].fake.value == pytest.approx(0, abs=1e-3)


def test_the_denoiser_removes_noise() -> None:
    network = train_denoiser(RAW[:60], TRUTH[:60], steps=150, seed=0)
    left = float(squared_errors(network, RAW[60:], TRUTH[60:]).mean())
    assert left < 0.3 * float((RAW[60:] - TRUTH[60:]).square().mean())
    assert left < float(TRUTH[60:].square().mean())


def test_a_training_depends_on_its_seed_alone() -> None:
    before = torch.get_rng_state()
    first, same, other = (
        squared_errors(train_denoiser(RAW, TRUTH, steps=2, seed=seed), RAW[:5], TRUTH[:5])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    weights = [next(seeded(DnCNN, 3).parameters()) for _ in range(2)]
    assert torch.equal(*weights)


def test_the_interval_holds_what_few_seeds_leave_open() -> None:
    """Of Student's t: with three seeds 4.30 standard errors of their mean, not two."""
    case = Case(pairs(GROUP, fake=RAW, raw=RAW, sim=TRUTH), draws=200)
    decibel = torch.tensor([0.1, 0.2, 0.6], dtype=torch.float64)
    by_fake = (10 ** (decibel / 10))[:, None].expand(3, len(GROUP))
    found = _gap(case, by_fake, torch.ones_like(by_fake), case.pairs.units)
    more = 4.302653 * float(decibel.std()) / 3**0.5
    assert found.value == pytest.approx(0.305, abs=0.002)
    assert found.high - found.value == pytest.approx(more, rel=1e-3)
    assert found.value - found.low == pytest.approx(more, rel=1e-3)


def test_both_images_of_a_pair_are_turned_alike() -> None:
    images = torch.rand(40, 8, 8)
    one, other = turned(torch.stack([images, 2 * images], 1), torch.Generator().manual_seed(0)).unbind(1)
    assert torch.equal(other, 2 * one)
    assert not torch.equal(one, images)
    torch.testing.assert_close(one.flatten(1).sort(1).values, images.flatten(1).sort(1).values)


def test_what_is_missing_is_told() -> None:
    stacks = {"fake": RAW, "raw": RAW, "sim": TRUTH}
    assert "truth=" in PSNRGapMeasure()(Case(pairs(GROUP, **stacks))).left_out[0]
    few = {kind: images[:60] for kind, images in (stacks | {"truth": TRUTH}).items()}
    assert "40 pairs" in PSNRGapMeasure()(Case(pairs(GROUP[:60], **few))).left_out[0]
