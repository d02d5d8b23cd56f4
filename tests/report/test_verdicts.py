"""Quantities of several evaluations share a row only where they are the same quantity."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cryoalign.evaluate.document import Facts, to_document
from cryoalign.evaluate.finding import Answer, Finding, Interval, Quantity, Verdict, by_key
from cryoalign.report.arms import compare
from cryoalign.report.run_result import RunResult
from cryoalign.report.verdicts import quantity_rows, tallies, verdict_rows
from tests.report.example import make


def evaluated_run(name: str, quantity: Quantity, question: str = "Is it?", **changes) -> RunResult:
    answers = by_key([Answer("a", question, Verdict.PASS, "")])
    finding = Finding("spectrum", answers, by_key([quantity]))
    return replace(make(name, **changes), evaluation=to_document({"fake": [finding]}, Facts()))


def quantity(value: float, label: str = "RPSD L1", unit: str = "", target: float | None = 1) -> Quantity:
    return Quantity("d", label, Interval(value, value, value), unit=unit, target=target)


def rows_of(first: Quantity, second: Quantity) -> list[tuple[str, float | None, list[float | None]]]:
    runs = [evaluated_run("a", first), evaluated_run("b", second, generator__width=32)]
    return [
        (row.label, row.target, [cell.mean for cell in row.cells]) for row in quantity_rows(compare(runs))
    ]


def test_the_same_quantity_is_one_row():
    assert rows_of(quantity(0.3), quantity(0.4)) == [("RPSD L1", 1, [0.3, 0.4])]


@pytest.mark.parametrize("other", [{"label": "RPSD L1, excess"}, {"unit": "A"}])
def test_another_quantity_of_the_same_key_is_another_row(other):
    first, second = rows_of(quantity(0.3), quantity(0.4, **other))
    assert first == ("RPSD L1", 1, [0.3, None])
    assert second[1:] == (1, [None, 0.4])
    assert second[0] != first[0]


def test_what_is_perfect_is_shown_where_all_agree_on_it():
    assert rows_of(quantity(0.3), quantity(0.4, target=2)) == [("RPSD L1", None, [0.3, 0.4])]


def test_means_are_over_the_runs_that_know_the_quantity():
    runs = [evaluated_run("a", quantity(0.3)), evaluated_run("b", quantity(math.nan), seed=2)]
    (row,) = quantity_rows(compare(runs))
    assert row.cells == ((0.3, None),)


def test_another_question_of_the_same_key_is_another_row():
    runs = [
        evaluated_run("a", quantity(0.3)),
        evaluated_run("b", quantity(0.4), "Was it?", generator__width=32),
    ]
    found = [(row.question, row.cells) for row in verdict_rows(compare(runs))]
    assert found == [("Is it?", ({"pass": 1}, {})), ("Was it?", ({}, {"pass": 1}))]


def test_without_an_evaluation_there_is_no_row():
    found = compare([make("a"), make("b", generator__width=32)])
    assert (verdict_rows(found), quantity_rows(found), tallies(found)) == ([], [], [])
