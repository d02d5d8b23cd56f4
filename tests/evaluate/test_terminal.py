"""The table of verdicts holds every question, its number and its words."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cryoalign.evaluate.document import to_document
from cryoalign.evaluate.terminal import baseline_table, verdict_table, verdict_words
from tests.evaluate import example


@pytest.fixture(scope="module")
def document() -> dict:
    return to_document(example.candidates(), example.facts())


def printed(*things, width: int = 120) -> str:
    console = Console(width=width, file=StringIO())
    for thing in things:
        console.print(thing, soft_wrap=False)
    return " ".join(console.file.getvalue().split())


def test_a_line_a_question(document):
    table = verdict_table(document, "test set, 2000 pairs")
    questions = [answer for finding in example.findings() for answer in finding.answers]
    assert table.row_count == len(questions) == 14
    text = printed(table, width=200)
    for answer in questions:
        assert answer.question in text
    assert "1.040 (1.016 to 1.064) │ 1.00 │ 5.71" in text
    assert "48 Å (17 to 79)" in text


def test_the_words_and_what_was_left_out(document):
    text = printed(*verdict_words(document), width=400)
    for finding in example.findings():
        for answer in finding.answers:
            assert answer.words in text
        for sentence in finding.left_out:
            assert f"left out of {finding.measure}: {sentence}" in text


def test_baselines_stand_beside_it(document):
    table = baseline_table(document, "beside the baselines")
    assert [column.header for column in table.columns] == ["question", *example.candidates()]
    cells = [str(cell) for cell in table.columns[2].cells]
    assert [cell for cell in cells if cell] == ["✗ fail 5.71", "✗ fail 3.10", "✗ fail 1.00"]
    assert next(str(cell) for cell in table.columns[1].cells) == "✓ pass 1.04"
    assert baseline_table(to_document({"fake": []}, {}), "") is None
    few = baseline_table(to_document(example.candidates() | {"white_noise": [], "spectral": []}, {}), "")
    assert few.row_count == 3  # what the fake alone was asked stands in its own table


def test_brackets_are_no_markup(document):
    nasty = to_document(
        {"fake": [example.Finding("m", (example.answer("a", "[red]?", "pass", "[/b]"),))]}, {}
    )
    assert "[red]?" in printed(verdict_table(nasty, "t"))
    assert "[/b]" in printed(*verdict_words(nasty))
