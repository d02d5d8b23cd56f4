"""report.html of an evaluation: it stands alone, holds every number, and comes from the file again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.evaluate.digits import MISSING
from cryoalign.evaluate.document import Document, Facts, read_document, to_document, write_document
from cryoalign.evaluate.fact_rows import command_line
from cryoalign.evaluate.finding import Chart, Finding, Interval, Quantity, by_key
from cryoalign.evaluate.page import evaluation_page
from cryoalign.models.baselines import BASELINES
from tests.evaluate import example
from tests.evaluate.building import answer, interval, series
from tests.evaluate.example_questions import NASTY
from tests.evaluate.parsing import Page, self_contained

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def document() -> Document:
    return to_document(example.candidates(), example.facts())


@pytest.fixture(scope="module")
def text(document) -> str:
    return evaluation_page(document, gallery=PNG)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return self_contained(text)


def test_it_stands_alone_and_its_policy_says_so(text, page):
    assert "default-src 'none'" in text
    assert page.addresses.count("data:image/png;base64,iVBORw0KGgo=") == 1


def test_the_same_from_the_file(tmp_path: Path):
    document = to_document({"fake": [example.ctf()], "spectral": [example.ctf()]}, example.facts())
    write_document(tmp_path / "evaluation.json", document)
    assert evaluation_page(read_document(tmp_path / "evaluation.json")) == evaluation_page(document)


def test_every_question_is_answered_on_top_in_words(page):
    rows = [[" ".join(cell.split()) for cell in row] for row in page.tables[0]]
    answers = [entry for finding in example.findings() for entry in finding.answers.values()]
    signs = {"pass": "✓", "fail": "✗", "undecided": "?"}
    assert rows[1:] == [
        [f"{signs[entry.verdict]} {entry.verdict}", entry.question, entry.explanation] for entry in answers
    ]
    assert "2 of 14 questions failed; 3 cannot be decided with these data." in page.text
    assert "Failed: Are the images free of a periodic pattern? Is the noise new in every draw?" in page.text


def test_tables_hold_the_numbers(page):
    cells = page.cells()
    for number in ("1.040 1.016 to 1.064", "1.002 0.981 to 1.023", "5.71 5.57 to 5.85", "48 17 to 79"):
        assert number in cells
    assert "5.710 5.686 to 5.734" in cells  # of identity
    assert "median |defocus error| (Å)" in cells
    assert "error of the azimuth (°)" in cells
    assert "1.12 1.06 to 1.18" in cells  # the worst bin's
    assert "Worst bin: 2.01 to 2.48 µm for RPSD L1, image by image" in page.text


def test_what_is_not_a_number_is_a_dash(text, page):
    assert MISSING in page.cells()
    assert not re.search(r"\b(nan|None|null|inf)\b", page.text)
    assert ">nan" not in text.lower()


def test_facts_words_and_left_outs(page):
    for words in (
        "krios_bgal, test set",
        "/data/krios_bgal/particles.star",
        "3.540 Å",
        "64 px",
        "2026-11-24 20:45:53 UTC",
        "cryoalign 0.1.0, torch 2.13.0",
        "run=outputs/train/2026-11-24_20-45-53-012345",
        "rlnMicrographName",
        "Only 24 micrographs",
        "The correlation with the truth: no truth was given.",
        "14.2 sigma",
    ):
        assert words in page.text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("words", "pasted"),
    [
        (["cryoalign", "evaluate", "run=a b", "part=test"], "cryoalign evaluate 'run=a b' part=test"),
        ("cryoalign evaluate run=a part=val", "cryoalign evaluate run=a part=val"),
        ([], ""),
    ],
)
def test_a_command_can_be_pasted(words, pasted):
    assert command_line(words) == pasted


def test_every_chart_is_there_with_its_labels_and_a_legend(page):
    charts = [chart for finding in example.findings() for chart in finding.charts.values()]
    assert page.tags.count("svg") == len(charts)
    for chart in charts:
        assert chart.title in page.text
        for name in chart.series:
            assert name in page.text
    assert "spatial frequency (1/Å)" in page.text
    assert page.text.count("resolution (Å)") == 2  # over the two charts in fractions of Nyquist


def test_words_of_others_are_escaped(text, page):
    assert NASTY in page.text
    assert "<script" not in text
    nasty = NASTY
    one = Interval(1, 0, 2)
    chart = Chart(nasty, nasty, nasty, nasty, {nasty: series(example.RADIUS, example.RADIUS)})
    finding = Finding(
        nasty,
        by_key([answer(nasty, nasty, "fail", nasty)]),
        by_key([Quantity(nasty, nasty, one)]),
        by_key([chart]),
    )
    facts = Facts(title=nasty, notes=(nasty,), more={nasty: nasty})
    document = to_document({"fake": [finding], nasty: [finding]}, facts)
    page = Page(evaluation_page(document))
    assert "script" not in page.tags
    assert page.text.count("alert('x')") > 12


def test_every_measure_and_baseline_is_explained():
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        measures = [str(name) for name in compose("evaluate").measure]
    compared = [Finding(name, by_key([answer(name, "Good?", "pass", "Yes.")])) for name in measures]
    for name in BASELINES:
        page = evaluation_page(to_document({"fake": compared, name: compared}, Facts()))
        assert f"<dt>{name}</dt>" in page
        sections = page.split('<section class="measure">')[1:]
        assert len(sections) == len(measures)
        assert all(re.search(r'<p class="lead">\s*\w', section) for section in sections)


def test_little_is_enough():
    """No facts, no baselines, no charts; a measure that was left out."""
    page = self_contained(
        evaluation_page(to_document({"fake": [Finding("pose", left_out=("No map.",))]}, Facts()))
    )
    assert "No question was asked." in page.text
    assert "No map." in page.text
    assert "Compared with the baselines" not in page.text
    finding = Finding("spectrum", by_key([answer("a", "Good?", "pass", "Yes.")]))
    page = self_contained(evaluation_page(to_document({"fake": [finding]}, Facts())))
    assert "None of 1 questions failed." in page.text


def binned(values: tuple[float, ...], floor: float, **more: object) -> Quantity:
    """A quantity of one value a defocus bin."""
    bins = tuple(interval(value, 0.05) for value in values)
    return Quantity("q", "a quantity", interval(values[0]), interval(floor), bins=bins, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quantity", "worst"),
    [
        (binned((0.35, 0.48, 0.45), 0.51, target=0.5, lower_is_better=True), None),  # AUCs below guessing
        (binned((0.35, 0.58, 0.45), 0.51, target=0.5, lower_is_better=True), 1),
        (binned((0.28, 0.20, 0.25), 0.31, lower_is_better=True), None),  # RPSDs below the floor
        (binned((0.28, 0.20, 0.35), 0.31, lower_is_better=True), 2),
        (binned((3.1, 3.5), 3.6, target=0.0), None),  # errors smaller than those of raw
        (binned((3.1, 4.5), 3.6, target=0.0), 1),
        (binned((0.6, 1.2), float("nan"), target=1.0), 0),  # too little is as bad as too much
    ],
)
def test_no_bin_is_worst_that_is_better_than_the_floor(quantity, worst):
    document = to_document({"fake": [Finding("m", quantities=by_key([quantity]))]}, Facts())
    text = evaluation_page(document)
    assert quantity.worst_bin == worst
    assert text.count('class="worst"') == text.count("Worst bin:") == (0 if worst is None else 1)
