"""The table of verdicts holds every question, its number and its words."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cryoalign.evaluate.document import Document, Facts, to_document
from cryoalign.evaluate.finding import Finding, by_key
from cryoalign.evaluate.terminal import baseline_table, verdict_sentences, verdict_table
from tests.evaluate import example
from tests.evaluate.building import answer, quantity


@pytest.fixture(scope="module")
def document() -> Document:
    return to_document(example.candidates(), example.facts())


def printed(*things, width: int = 120) -> str:
    console = Console(width=width, file=StringIO())
    for thing in things:
        console.print(thing, soft_wrap=False)
    return " ".join(console.file.getvalue().split())


def test_a_line_a_question(document):
    table = verdict_table(document, "test set, 2000 pairs")
    questions = [entry for finding in example.findings() for entry in finding.answers.values()]
    assert table.row_count == len(questions) == 14
    text = printed(table, width=200)
    for entry in questions:
        assert entry.question in text
    assert "1.040 (1.016 to 1.064) │ 1.00 │ 5.71" in text
    assert "48 Å (17 to 79)" in text


def test_the_words_and_what_was_left_out(document):
    text = printed(*verdict_sentences(document), width=400)
    for finding in example.findings():
        for entry in finding.answers.values():
            assert f" {entry.verdict}: {entry.question} {entry.explanation}" in text
        for sentence in finding.left_out:
            assert f"left out of {finding.measure}: {sentence}" in text


def test_baselines_stand_beside_it(document):
    table = baseline_table(document, "beside the baselines")
    assert [column.header for column in table.columns] == ["question", *example.candidates()]
    cells = [str(cell) for cell in table.columns[2].cells]
    assert [cell for cell in cells if cell] == ["✗ fail 5.71", "✗ fail 3.10", "✗ fail 1.00"]
    assert next(str(cell) for cell in table.columns[1].cells) == "✓ pass 1.04"
    assert baseline_table(to_document({"fake": []}, Facts()), "") is None
    few = baseline_table(to_document(example.candidates() | {"white_noise": [], "spectral": []}, Facts()), "")
    assert few.row_count == 3  # what the fake alone was asked stands in its own table


def test_each_row_of_the_baselines_has_one_quantity():
    """Candidates may fail for different quantities, but numbers of one row must be comparable."""

    def found(about: str) -> Finding:
        quantities = (quantity("near", "near", (0.25, 0.1)), quantity("far", "far away", (4.5, 0.1)))
        return Finding("m", by_key([answer("a", "Good?", "fail", "", about)]), by_key(quantities))

    candidates = {"fake": [found("far")], "one": [found("near")], "other": [Finding("m", found("x").answers)]}
    table = baseline_table(to_document(candidates, Facts()), "")
    assert [str(next(iter(column.cells))) for column in table.columns] == [
        "Good?\nfar away", "✗ fail 4.50", "✗ fail 4.50", "✗ fail"
    ]  # fmt: skip


def test_brackets_are_no_markup(document):
    finding = Finding("m", by_key([answer("a", "[red]?", "pass", "[/b]")]))
    nasty = to_document({"fake": [finding]}, Facts())
    assert "[red]?" in printed(verdict_table(nasty, "t"))
    assert "[/b]" in printed(*verdict_sentences(nasty))
