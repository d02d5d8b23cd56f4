"""Fakes with one fault each are failed by the question meant for it and pass others; the oracle passes all.

experiments/0003_referee/matrix.py does the same with all images, and keeps the numbers. Fakes of the same
particles share their floors, as those of a run and of its baselines do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryoalign.evaluate.case import Case, Floors
from cryoalign.evaluate.finding import Answer
from cryoalign.evaluate.judge import Measure, judge
from cryoalign.evaluate.measures.content.measure import ContentMeasure
from cryoalign.evaluate.measures.defocus.measure import DefocusMeasure
from cryoalign.evaluate.measures.invention.measure import InventionMeasure
from cryoalign.evaluate.measures.memorization.measure import MemorizationMeasure
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from cryoalign.evaluate.measures.pose.measure import PoseMeasure
from cryoalign.evaluate.measures.spectrum.measure import SpectrumMeasure
from cryoalign.evaluate.measures.two_sample.measure import TwoSampleMeasure
from tests.fakes.known import Known, case_of
from tests.fakes.matrix import QUESTIONS, matrix
from tests.fakes.measured import Measured
from tests.fakes.saboteurs import MEASURED_SABOTEURS, SABOTEURS

MATRIX = matrix()
#: Measures, with fewer images than by default, and the questions they answer.
MEASURES: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "spectrum": (SpectrumMeasure(), ("spectrum", "peaks")),
    "content": (ContentMeasure(), ("content", "truth")),
    "ctf": (DefocusMeasure(), ("ctf",)),
    "pose": (PoseMeasure(images=48, box=32), ("pose",)),
    "noise": (
        NoiseMeasure(),
        (
            "noise",
            "grey",
            "shared",
            "copied",
            "repeated",
            "skewness",
            "power_spread",
            "modulation",
            "in_ring",
            "noise_ctf",
            "edges",
        ),
    ),
    "two_sample": (TwoSampleMeasure(images=480, epochs=2), ("two_sample",)),
    "invented": (InventionMeasure(images=200), ("invented_empty", "invented_domain")),
    "memorized": (MemorizationMeasure(images=200), ("memorized",)),
}
#: No classifier, which takes longest, is trained for these: the noise of three is the oracle's, their content
#: that of `pose_off`, and what is told from raw is seen of `white_noise`. The study asks for them too.
NOT_CLASSIFIED = ("another_particle", "no_noise", "noise_of_sim", "memorizer")


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


@pytest.fixture(scope="module")
def folder(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("known")
    known.write_common(made)
    return made


@pytest.fixture(scope="module")
def floors() -> Floors:
    return Floors()


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured()


@pytest.fixture(scope="module")
def measured_floors() -> Floors:
    return Floors()


@pytest.fixture(scope="module")
def measured_folder(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("measured")
    measured.write_common(made)
    return made


def test_every_question_has_a_saboteur_that_fails_it() -> None:
    assert set(MATRIX) == set(SABOTEURS) | set(MEASURED_SABOTEURS)
    assert {question for _, questions in MEASURES.values() for question in questions} == set(QUESTIONS)
    for question in QUESTIONS:
        assert any(row[question] == "fail" for row in MATRIX.values()), question
    for oracle in ("oracle", "measured_oracle"):
        assert set(MATRIX[oracle].values()) == {"pass"}


@pytest.mark.parametrize("name", SABOTEURS)
def test_a_fault_is_found_by_the_measure_meant_for_it(
    name: str, known: Known, folder: Path, floors: Floors
) -> None:
    _hold(name, lambda: case_of(known, folder, SABOTEURS[name](known), floors))


@pytest.mark.parametrize("name", MEASURED_SABOTEURS)
def test_a_fault_of_real_noise_is_found(
    name: str, measured: Measured, measured_folder: Path, measured_floors: Floors
) -> None:
    _hold(
        name, lambda: case_of(measured, measured_folder, MEASURED_SABOTEURS[name](measured), measured_floors)
    )


def _hold(name: str, case: Callable[[], Case]) -> None:
    wanted = {question: verdict for question, verdict in MATRIX[name].items() if verdict != "."}
    if name in NOT_CLASSIFIED:
        del wanted["two_sample"]
    asked = {key: measure for key, (measure, questions) in MEASURES.items() if set(questions) & set(wanted)}
    findings = judge(case(), asked)
    for finding in findings:
        assert {answer.quantity for answer in finding.answers.values()} <= set(finding.quantities)
    answers: dict[str, Answer] = {
        answer.key: answer for finding in findings for answer in finding.answers.values()
    }
    found = {question: str(answers[question].verdict) for question in wanted}
    words = [answers[question].explanation for question in wanted if found[question] != wanted[question]]
    assert found == wanted, words
