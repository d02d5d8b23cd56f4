"""Fakes of particles that were never measured: what they are asked, what not and why, and what is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Interval, Verdict
from cryoalign.evaluate.judge import Measure, judge
from cryoalign.evaluate.measures.content.measure import ContentMeasure
from cryoalign.evaluate.measures.defocus.measure import DefocusMeasure
from cryoalign.evaluate.measures.invention.measure import InventionMeasure
from cryoalign.evaluate.measures.memorization.measure import MemorizationMeasure
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from cryoalign.evaluate.measures.other_stacks.measure import OtherStacksMeasure
from cryoalign.evaluate.measures.pose.measure import PoseMeasure
from cryoalign.evaluate.measures.spectrum.measure import SpectrumMeasure
from cryoalign.evaluate.measures.two_sample.measure import TwoSampleMeasure
from cryoalign.evaluate.reading import Reader
from tests.fakes.known import case_of
from tests.fakes.new import NOT_ASKED, New, unpaired_case
from tests.fakes.saboteurs import SABOTEURS

if TYPE_CHECKING:
    from tests.conftest import Cli

BOX, COUNT, MICROGRAPHS, DRAWS = 40, 280, 16, 200
MEASURES: dict[str, Measure] = {
    "spectrum": SpectrumMeasure(),
    "content": ContentMeasure(),
    "ctf": DefocusMeasure(),
    "pose": PoseMeasure(images=32, box=24),
    "noise": NoiseMeasure(),
    "two_sample": TwoSampleMeasure(classifiers="spectrum"),
    "invented": InventionMeasure(images=60),
    "memorized": MemorizationMeasure(images=100),
    "other_stacks": OtherStacksMeasure(),
}
#: One fault each: the measure meant for it, and what it has to say.
SABOTAGE: dict[str, tuple[str, dict[str, str]]] = {
    "white_noise": ("noise", {"noise": "fail", "grey": "pass", "shared": "pass", "repeated": "pass"}),
    "same_noise": ("noise", {"shared": "fail", "repeated": "fail"}),
    "patchy_noise": ("noise", {"modulation": "fail", "noise": "pass", "shared": "pass"}),
    "even_rings": ("noise", {"in_ring": "fail", "noise": "pass", "grey": "pass"}),
    "checkerboard": ("spectrum", {"peaks": "fail", "spectrum": "pass"}),
    "pose_off": ("pose", {"pose": "fail"}),
    "memorizer": ("other_stacks", {"noise_within": "fail"}),
}


@pytest.fixture(scope="module")
def new() -> New:
    return New(BOX, COUNT, MICROGRAPHS)


@pytest.fixture(scope="module")
def folder(new: New, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("new")
    new.like.write_common(made)
    return made


@pytest.fixture(scope="module")
def oracle(new: New, folder: Path) -> Case:
    return unpaired_case(new, folder / "raw.star", folder, SABOTEURS["oracle"](new), DRAWS)


@pytest.fixture(scope="module")
def findings(oracle: Case) -> dict[str, Finding]:
    return {finding.measure: finding for finding in judge(oracle, MEASURES)}


def verdicts(findings: dict[str, Finding]) -> dict[str, Verdict]:
    return {key: answer.verdict for entry in findings.values() for key, answer in entry.answers.items()}


def test_the_oracle_passes_and_what_needs_pairs_is_not_asked(findings: dict[str, Finding]) -> None:
    found = verdicts(findings)
    assert {key for key, verdict in found.items() if verdict == "not asked"} == set(NOT_ASKED)
    assert {key: str(verdict) for key, verdict in found.items() if key not in NOT_ASKED} == dict.fromkeys(
        found.keys() - set(NOT_ASKED), "pass"
    )
    for key in ("spectrum", "grey", "two_sample", "ctf", "pose", "invented_empty", "noise_within"):
        assert key in found
    reasons = [a.explanation for f in findings.values() for k, a in f.answers.items() if k in NOT_ASKED]
    assert all("raw" in reason for reason in reasons)


def test_paired_and_unpaired_agree_wherever_both_ask(
    new: New, folder: Path, findings: dict[str, Finding]
) -> None:
    """One generator, of the measured particles and of new ones: the same verdicts, and intervals overlap."""
    asked = {name: MEASURES[name] for name in ("spectrum", "noise", "two_sample", "ctf")}
    paired = {f.measure: f for f in judge(case_of(new.like, folder, SABOTEURS["oracle"](new.like)), asked)}
    one, other = verdicts(paired), verdicts(findings)
    both = one.keys() & other.keys() - set(NOT_ASKED)
    assert len(both) >= 13
    assert {key: one[key] for key in both} == {key: other[key] for key in both}
    compared = 0
    for name, finding in paired.items():
        for key, quantity in finding.quantities.items():
            same = findings[name].quantities.get(key)
            if quantity.target is not None and same is not None and np.isfinite(quantity.fake.low):
                assert overlap(quantity.fake, same.fake), (key, quantity.fake, same.fake)
                compared += 1
    assert compared >= 15


def overlap(one: Interval, other: Interval) -> bool:
    """Whether two 95 % intervals, each widened by half, meet."""
    (low, high), (least, most) = (
        (1.5 * entry.low - 0.5 * entry.value, 1.5 * entry.high - 0.5 * entry.value) for entry in (one, other)
    )
    return low <= most and least <= high


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_fault_is_found_without_pairs(name: str, new: New, folder: Path, tmp_path: Path) -> None:
    measure, wanted = SABOTAGE[name]
    case = unpaired_case(new, folder / "raw.star", tmp_path, SABOTEURS[name](new), DRAWS)
    [finding] = judge(case, {measure: MEASURES[measure]})
    found = {key: str(finding.answers[key].verdict) for key in wanted}
    assert found == wanted, [finding.answers[key].explanation for key in wanted]


def test_images_without_a_particle_are_asked_for_themselves(
    new: New, folder: Path, oracle: Case, tmp_path: Path
) -> None:
    rows, classes = new.judged[:120], np.arange(120) % 4
    fakes = oracle.pairs.images("fake", np.arange(120))
    path = new.write(tmp_path, "labelled", fakes, new.particles.take(rows), classes)
    pairs = Reader().unpaired(folder / "raw.star", path)
    assert set(pairs.particles_of("fake").table["rlnClassNumber"]) == {1, 2, 3}
    probe = Reader().empties(path, pairs)
    assert probe is not None
    assert list(probe.particles.row) == list(range(1, 121, 4))
    assert Reader().empties(folder / "new_fake.star", pairs) is None


def test_a_planted_copy_of_noise_is_found_in_another_stack(new: New, folder: Path, oracle: Case) -> None:
    """One stack made apart; one in which every tenth row has some fake's noise; one that shares it by row."""
    rows, part = new.judged, new.particles.take(new.judged)
    fakes = Reader().probe(folder / "new_fake.star", oracle.pairs).images(rows)
    apart = new.normalized(new.truth[rows] + new.noise(COUNT, 21))
    planted = apart.clone()
    planted[::10] = new.normalized(0.8 * fakes[5::10] + 0.6 * apart[::10])
    by_row = new.normalized(0.3 * fakes + 0.95 * apart)
    found = {}
    for name, images in (("apart", apart), ("planted", planted), ("by_row", by_row)):
        path = new.write(folder, name, images, part)
        oracle.others = {name: Reader().probe(path, oracle.pairs)}
        [found[name]] = judge(oracle, {"other_stacks": OtherStacksMeasure()})
    answers = {name: finding.answers["noise_elsewhere"] for name, finding in found.items()}
    assert {name: str(answer.verdict) for name, answer in answers.items()} == {
        "apart": "pass", "planted": "fail", "by_row": "fail",
    }  # fmt: skip
    assert found["planted"].quantities["found_1"].fake.value == pytest.approx(0.1, abs=0.04)
    row = {name: finding.quantities["row_correlation_1"] for name, finding in found.items()}
    assert row["by_row"].fake.value == pytest.approx(0.3, abs=0.05)
    assert row["apart"].fake.low <= 0 <= row["apart"].fake.high
    assert "planted" in answers["planted"].explanation


def test_through_the_command(cli: Cli, new: New, folder: Path, oracle: Case) -> None:
    """Recognized from the files and said in the log, the report and evaluation.json, without any sim."""
    files = [f"fake={folder / 'new_fake.star'}", f"raw={folder / 'raw.star'}", "progress=false", "draws=100"]
    done = cli("evaluate", *files, "measures=[content,pose,other_stacks]", f"others={folder / 'raw.star'}")
    assert done.code == 0, done.err
    document = json.loads(Path("evaluation/evaluation.json").read_text())
    assert document["facts"]["paired"] is False
    assert document["facts"]["pairs"] == len(oracle.pairs)
    measures = document["candidates"]["fake"]["measures"]
    assert measures["pose"]["answers"]["pose"]["verdict"] == "not asked"
    assert measures["other_stacks"]["answers"]["noise_elsewhere"]["verdict"] == "pass"
    page = " ".join(Path("evaluation/report.html").read_text().split())
    for text in (" ".join((done.out + done.err).split()), page):
        assert "raw images of other particles, matched by micrograph" in text
        assert "volume=, or the fakes" in text
        assert "not asked" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["pairs=yes", "sim=new_sim.star"], ["has its raw image here", "pairs=no"]),
        (["pairs=yes"], ["sim was not given", "pairs=no"]),
        (["pairs=maybe"], ["pairs", "auto"]),
        (["truth=new_sim.star"], ["truth= needs pairs"]),
        (["sim=sim.star"], ["sim.star", "particles"]),
    ],
)
def test_what_does_not_fit(cli: Cli, folder: Path, oracle: Case, options: list[str], says: list[str]) -> None:
    files = [f"fake={folder / 'new_fake.star'}", f"raw={folder / 'raw.star'}"]
    given = [f"{key}={folder / value}" if value.endswith(".star") else f"{key}={value}"
             for key, _, value in (option.partition("=") for option in options)]  # fmt: skip
    done = cli("evaluate", *files, *given, "progress=false")
    assert done.code == 1
    for words in says:
        assert words in done.err
    assert "Traceback" not in done.err
