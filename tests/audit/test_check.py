"""Mistakes made on purpose are named; right pairs agree and shuffled ones never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoalign.audit.check import check_pairs
from cryoalign.audit.correlation import Estimate
from cryoalign.audit.sample import Sample
from cryoalign.audit.verdict import Conclusion, conclude
from cryoalign.particles import Particles
from tests.audit import known_pairs as made

Change = Callable[[Particles], Particles]


def verdict(sample: Sample, *, poses: bool = False) -> Conclusion:
    return conclude(check_pairs(sample, poses=poses))


def premultiplied(table: Particles) -> Particles:
    return replace(table, optics=tuple(replace(group, premultiplied=True) for group in table.optics))


def in_focus(table: Particles) -> Particles:
    lens = {"amplitude_contrast": 1.0, "spherical_aberration": 0.0}
    return replace(
        table, defocus=table.defocus * 0, optics=tuple(replace(group, **lens) for group in table.optics)
    )


def inverse(table: Particles) -> Particles:
    rotations = Rotation.from_euler("ZYZ", table.angles, degrees=True).inv()
    return replace(table, angles=rotations.as_euler("ZYZ", degrees=True))


def scaled(name: str, factor: Any) -> Change:
    return lambda table: replace(table, **{name: getattr(table, name) * np.asarray(factor)})


@pytest.mark.parametrize("seed", range(2))
def test_right_pairs_agree(known: Particles, truth: torch.Tensor, seed: int) -> None:
    found = verdict(made.pairs(truth, truth, known, seed=seed))
    assert (found.outcome, found.exit_code) == ("agree", 0), found.line
    assert list(found.undecidable) == ["phase shift"]  # there is none


def test_right_pairs_agree_in_their_poses_too(known: Particles, truth: torch.Tensor) -> None:
    evidence = check_pairs(made.pairs(truth, truth, known))
    assert conclude(evidence).outcome == "agree"
    poses = [score for score in evidence.scores if score.family == "pose"]
    assert len(poses) == 2
    assert all(score.difference.sigma < -10 for score in poses)


@pytest.mark.parametrize("seed", range(2))
def test_shuffled_rows_never_agree(known: Particles, truth: torch.Tensor, seed: int) -> None:
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))
    found = verdict(made.pairs(truth[order], truth, known, noise=1.5))
    assert found.mistake == "rows shuffled", found.line
    assert found.exit_code == 2


def test_strangers_have_no_relation(known: Particles, truth: torch.Tensor) -> None:
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(5))
    found = verdict(made.pairs(truth, noise, known))
    assert (found.outcome, found.exit_code) == ("no relation", 3)


def test_few_pairs_in_much_noise_are_undecided_or_unrelated(known: Particles, truth: torch.Tensor) -> None:
    few = known.take(np.arange(30))
    found = verdict(made.pairs(truth[:30], truth[:30], few, noise=300.0))
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("whole", "remedy"),
    [(False, "all with sample=0"), (True, "150 are all pairs there are: only more particles")],
)
def test_more_pairs_are_asked_for_where_there_are_more(
    known: Particles, truth: torch.Tensor, whole: bool, remedy: str
) -> None:
    sample = replace(made.pairs(truth, truth, known), whole=whole)
    evidence = check_pairs(sample, poses=False)
    weak = Estimate(0.032, 0.01, 1000)  # 3.2 sigma
    found = conclude(
        replace(evidence, scores=[replace(score, correlation=weak) for score in evidence.scores])
    )
    assert (found.outcome, found.line) == ("undecided", "undecided: a correlation of 3.2 sigma")
    assert remedy in str(found.remedy)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda s: -s, "contrast"),
        (lambda s: s.flip(-2), "flip y about the middle of the box"),
        (lambda s: s.flip(-2).roll(1, -2), "flip y"),
        (lambda s: s.flip(-1).roll(1, -1), "flip x"),
        (lambda s: -s.flip(-1).roll(1, -1), "flip x, contrast"),
        (lambda s: s.mT.contiguous(), "transpose"),
        (lambda s: s.flip(-1, -2).roll((1, 1), (-1, -2)), "rotate 180"),
        (lambda s: s.roll(1, 0), "row: next"),
        (lambda s: s.roll(-1, 0), "row: previous"),
        (lambda s: s.flip(0), "row: reversed"),
    ],
)
def test_mistakes_in_the_stack(
    known: Particles, truth: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor], key: str
) -> None:
    found = verdict(made.pairs(change(truth), truth, known))
    assert (found.mistake, found.exit_code) == (key, 2), found.line
    assert found.remedy


@pytest.mark.parametrize(
    ("change", "key", "line"),
    [
        (scaled("shift", -1), "sim shift", "the wrong sign"),
        (scaled("shift", PX := made.PIXEL_SIZE), "sim shift", "A and px exchanged"),
        (scaled("shift", 1 / PX), "sim shift", "A and px exchanged"),
        (scaled("shift", 0), "sim shift", "no effect"),
        (scaled("shift", [1, -1]), "sim shift", "along y"),
        (premultiplied, "CTF power 2", "the CTF twice"),
        (in_focus, "CTF power 0", "no CTF"),
        (scaled("defocus", [1.25, 1.25, 1]), "sim defocus x 1.25", "about 1.25 times it"),
    ],
)
def test_mistakes_of_the_simulator(
    known: Particles, truth: torch.Tensor, change: Change, key: str, line: str
) -> None:
    """The metadata are right, the simulated images do not follow them."""
    found = verdict(made.pairs(made.images(change(known)), truth, known))
    assert (found.mistake, found.exit_code) == (key, 2), found.line
    assert line in found.line


def test_wrong_metadata_that_were_simulated_with(known: Particles, truth: torch.Tensor) -> None:
    """To simulate anew with the same metadata would change nothing."""
    given = made.pairs(made.images(premultiplied(known)), truth, known)
    found = verdict(replace(given, follows=True))
    assert found.exit_code == 2, found.line
    assert "the CTF of the metadata looks wrong (amplitude contrast, phase shift" in found.line
    assert "correct amplitude contrast" in str(found.remedy)


@pytest.mark.parametrize(
    ("change", "key", "line"),
    [
        (scaled("shift", -1), "shift -2.00", "the wrong sign"),
        (scaled("shift", 2), "shift -0.50", "another pixel size"),
        (scaled("shift", 1 / PX), "shift +3.00", "A and px exchanged"),
        (premultiplied, "CTF once less in raw", "raw is not premultiplied"),
        (scaled("defocus", [2, 2, 1]), "defocus x 0.5", "multiplied by 0.5"),
    ],
)
def test_mistakes_in_the_metadata(
    known: Particles, truth: torch.Tensor, change: Change, key: str, line: str
) -> None:
    """Simulated faithfully from metadata that are wrong for raw."""
    wrong = change(known)
    found = verdict(made.pairs(made.images(wrong), truth, wrong))
    assert (found.mistake, found.exit_code) == (key, 2), found.line
    assert line in found.line


def test_inverse_poses_of_the_simulator(known: Particles, truth: torch.Tensor) -> None:
    found = verdict(made.pairs(made.images(inverse(known)), truth, known), poses=True)
    assert found.mistake == "pose inverse in sim", found.line


def test_inverse_poses_in_the_metadata(known: Particles, truth: torch.Tensor) -> None:
    wrong = inverse(known)
    found = verdict(made.pairs(made.images(wrong), truth, wrong), poses=True)
    assert found.mistake == "pose inverse in the metadata", found.line


def test_phase_shift_in_radians(plate: Particles) -> None:
    truth = made.images(plate)
    wrong = scaled("phase_shift", np.pi / 180)(plate)
    assert verdict(made.pairs(truth, truth, plate)).outcome == "agree"
    assert verdict(made.pairs(made.images(wrong), truth, wrong)).mistake == "phase shift in radians"


@pytest.mark.parametrize(("factor", "names"), [(0.9, "x 1.1"), (1.1, "x 0.9")])
def test_pixel_size_of_the_map(known: Particles, truth: torch.Tensor, factor: float, names: str) -> None:
    found = verdict(made.pairs(made.images(known, made.PIXEL_SIZE * factor), truth, known))
    assert found.line.startswith("pixel sizes differ"), found.line
    assert found.mistake is not None
    assert names in found.mistake, found.line


def test_what_cannot_be_decided_is_said(known: Particles) -> None:
    still = scaled("shift", 0)(known)
    images = made.images(still)
    found = verdict(made.pairs(images, images, still))
    assert found.outcome == "agree"
    assert found.undecidable["shift"] == "the claimed shifts do not vary"
