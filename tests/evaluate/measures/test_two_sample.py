"""The two-sample test sees what differs, guesses where nothing does, and never learns from what it judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.finding import Finding, Interval, Quantity, Verdict
from cryoalign.evaluate.measures.two_sample.answer import Judged, answer_of, hints
from cryoalign.evaluate.measures.two_sample.held_out import Side
from cryoalign.evaluate.measures.two_sample.measure import TwoSampleMeasure
from cryoalign.evaluate.measures.two_sample.sides import read_sides
from tests.fakes.in_memory import blobs, noise, pairs

BOX, GROUPS, EACH = 32, 12, 20
COUNT = GROUPS * EACH
GROUP = np.repeat(np.arange(GROUPS), EACH)


def judge(**images: torch.Tensor) -> tuple[Finding, dict[str, Quantity]]:
    finding = TwoSampleMeasure()(Case(pairs(GROUP, **images), draws=300))
    return finding, finding.quantities


@pytest.fixture(scope="module")
def known() -> dict[str, torch.Tensor]:
    sim = blobs(COUNT, BOX, 0)
    return {"sim": sim, "raw": sim + noise(COUNT, BOX, 1), "fake": sim + noise(COUNT, BOX, 2)}


def test_honest_fakes_cannot_be_told(known) -> None:
    finding, of = judge(**known)
    (answer,) = finding.answers.values()
    assert answer.verdict is Verdict.PASS
    assert set(of) == {"auc_spectrum", "auc_cnn", "auc_spectrum_groups", "auc_cnn_groups"}
    for key in ("auc_spectrum_groups", "auc_cnn_groups"):
        other = of.pop(key)
        assert other.fake.low <= 0.5 <= other.fake.high
        assert other.floor is other.ceiling is None
    for quantity in of.values():
        assert quantity.fake.low <= 0.5 <= quantity.fake.high
        assert abs(quantity.floor.value - 0.5) < 0.1  # one interval of raw against raw in twenty misses 0.5
        assert quantity.fake.high - quantity.fake.low < 0.25
    assert of["auc_spectrum"].ceiling.low > 0.99
    assert len(of["auc_spectrum"].bins) == 4
    assert all(abs(entry.value - 0.5) < 0.2 for entry in of["auc_spectrum"].bins)
    roc = finding.charts["two_sample_roc"].series["a small CNN"]
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(of["auc_cnn"].fake.value, abs=0.03)


def test_white_noise_is_told_from_coloured(known) -> None:
    white = known["sim"] + torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(3))
    finding, of = judge(**known | {"fake": white})
    assert finding.answers["two_sample"].verdict is Verdict.FAIL
    assert of["auc_spectrum"].fake.low > 0.99
    assert of["auc_cnn"].fake.low > 0.95
    assert "1.00" in finding.answers["two_sample"].explanation


def test_one_classifier_can_be_asked_alone(known) -> None:
    case = Case(pairs(GROUP, **known), draws=300)
    asked = TwoSampleMeasure(classifiers="spectrum")(case)
    assert set(asked.quantities) == {"auc_spectrum", "auc_spectrum_groups"}
    assert "CNN" not in asked.answers["two_sample"].explanation


@pytest.mark.parametrize("classifiers", [[], ["spectra"]], ids=["none", "unknown"])
def test_classifiers_that_cannot_be_asked_are_refused(classifiers: list[str]) -> None:
    with pytest.raises(InputError, match=r"measure\.two_sample\.classifiers"):
        TwoSampleMeasure(classifiers=classifiers)


def test_one_classifier_is_named_as_a_list_or_by_itself() -> None:
    for name in ("cnn", "spectrum"):
        assert TwoSampleMeasure(classifiers=name).methods == TwoSampleMeasure(classifiers=[name]).methods
    with pytest.raises(InputError, match="found: spectra"):
        TwoSampleMeasure(classifiers="spectra")


def test_groups_that_differ_by_themselves_leave_the_question_undecided() -> None:
    """Four tomograms, each with noise of its own strength: their real images are told from each other."""
    group = np.repeat(np.arange(4), 40)
    strength = torch.tensor([0.7, 0.8, 1.0, 1.25])
    sim = 0.2 * blobs(160, BOX, 0)
    raw = sim + noise(160, BOX, 1) * strength[torch.from_numpy(group)][:, None, None]
    verdicts, floors = {}, Floors()
    for name, fake in (
        ("one strength", sim + noise(160, BOX, 2)),
        ("white", sim + torch.randn(160, BOX, BOX)),
    ):
        case = Case(pairs(group, fake=fake, raw=raw, sim=sim), draws=300, floors=floors)
        finding = TwoSampleMeasure()(case)
        verdicts[name] = finding.answers["two_sample"]
        for key in ("auc_spectrum_groups", "auc_cnn_groups"):
            told = finding.quantities[key].fake
            assert told.low > 0.5 or told.high < 0.5
        assert "groups differ by themselves" in verdicts[name].explanation
        assert verdicts[name].verdict is Verdict.UNDECIDED
    alike = sim + noise(160, BOX, 1)
    finding = TwoSampleMeasure()(
        Case(pairs(group, fake=sim + noise(160, BOX, 2), raw=alike, sim=sim), draws=300)
    )
    assert finding.answers["two_sample"].verdict is Verdict.PASS


def test_a_classifier_that_does_not_tell_groups_still_decides() -> None:
    def judged(method: str, *aucs: float) -> Judged:
        keys = (f"auc_{method}", f"auc_{method}_groups")
        return Judged(
            *(
                Quantity(key, f"AUC of {key}", Interval(value, value - 0.05, value + 0.05))
                for key, value in zip(keys, aucs, strict=True)
            )
        )

    for auc, other, verdict in ((0.9, 0.5, "fail"), (0.5, 0.5, "undecided"), (0.9, 0.04, "undecided")):
        answer = answer_of([judged("cnn", auc, other), judged("spectrum", 0.99, 0.04)], 0.6)
        assert answer.verdict == verdict
        assert answer.quantity == "auc_spectrum"
        assert "0.04" in answer.explanation
    assert answer_of([judged("cnn", 0.55, 0.5)], 0.6).verdict is Verdict.PASS


def test_floors_are_found_once_for_all_fakes_of_the_same_particles(known, monkeypatch) -> None:
    """The cases of a run and of its baselines share them."""
    methods = []

    def by_the_first_ring(fakes: Side, raws: Side, method: str, **_: object) -> tuple[np.ndarray, ...]:
        methods.append(method)
        return tuple(entry.features[:, 1].numpy() for entry in (fakes, raws))

    monkeypatch.setattr("cryoalign.evaluate.measures.two_sample.measure.cross_fit", by_the_first_ring)
    other = known | {"fake": known["sim"] + noise(COUNT, BOX, 20)}
    measure, floors, calls = TwoSampleMeasure(), Floors(), []
    for images, shared in ((known, floors), (other, floors), (other, Floors())):
        case = Case(pairs(GROUP, **images), draws=300, floors=shared)
        methods.clear()
        found = measure(case)
        calls.append(len(methods))
        assert found == TwoSampleMeasure()(Case(case.pairs, draws=300))
    assert calls == [7, 2, 7]  # two of the fake; two floors of two, and sim by one


def test_large_images_are_seen_through_windows_at_full_resolution() -> None:
    fake, raw = noise(24, 160, 15), noise(24, 160, 16)
    sides = read_sides(pairs(np.repeat(np.arange(4), 6), fake=fake, raw=raw), np.arange(24), seed=0)
    assert sides["fake"].windows.shape == (24, 2, 128, 128)
    for row in (0, 23):
        for number in range(2):
            cut = [images[row].unfold(0, 128, 1).unfold(1, 128, 1) for images in (fake, raw)]
            found = [
                (view == entry.windows[row, number]).all(-1).all(-1).nonzero()
                for view, entry in zip(cut, (sides["fake"], sides["raw"]), strict=True)
            ]
            assert len(found[0]) == 1
            assert torch.equal(*found)
    whole = read_sides(pairs(np.repeat(np.arange(4), 6), raw=noise(24, 80, 16)), np.arange(24), seed=0)
    assert whole["raw"].windows.shape == (24, 1, 80, 80)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [(np.repeat(np.arange(3), 80), "got 3"), (np.repeat(np.arange(10), 6), "holds 30 pairs")],
)
def test_too_few_are_left_out_with_the_reason(groups: np.ndarray, reason: str) -> None:
    images = noise(len(groups), BOX, 17)
    finding = TwoSampleMeasure()(Case(pairs(groups, fake=images, raw=images, sim=images)))
    assert finding.answers == finding.quantities == {}
    assert reason in finding.left_out[0]


def test_what_hints_at_a_mistake_of_the_test_is_said() -> None:
    below, above = (
        Quantity("auc_cnn", "AUC of a small CNN", Interval(*at))
        for at in ((0.4, 0.35, 0.45), (0.5, 0.4, 0.6))
    )
    assert "lies below 0.5" in hints(below, above)
    assert "Raw against raw" in hints(above, below)
    assert not hints(above, above)
