"""No table is cut, however narrow the console or the pipe."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from cryoalign.evaluate.document import to_document
from cryoalign.evaluate.terminal import baseline_table, verdict_table
from cryoalign.io.table import least_width, print_whole
from cryoalign.train.table import metrics_table
from tests.evaluate import example


def printed(table: Table, width: int) -> str:
    console = Console(width=width, file=StringIO())
    print_whole(console, table)
    return console.file.getvalue()


def numbers() -> Table:
    table = Table()
    table.add_column("hypothesis", no_wrap=True)
    table.add_column("settings", overflow="fold")
    for name in ("mean", "difference", "sigma"):
        table.add_column(name, justify="right")
    table.add_row("flip y about the middle", "x" * 60, "-0.22134", "+0.000012345", "-12345.6")
    return table


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_number_is_cut(width: int) -> None:
    text = printed(numbers(), width)
    assert "…" not in text
    for word in ("flip y about the middle", "-0.22134", "+0.000012345", "-12345.6"):
        assert word in text


def test_a_wide_console_stays_as_it_is() -> None:
    console = Console(width=140, file=StringIO())
    assert least_width(console, numbers()) < 140
    print_whole(console, numbers())
    assert console.width == 140


@pytest.mark.parametrize("width", [40, 80])
def test_the_tables_of_commands(width: int) -> None:
    document = to_document(example.candidates(), example.facts())
    compared = baseline_table(document, "beside the baselines")
    assert compared is not None
    for table in (
        verdict_table(document, "test set"),
        compared,
        metrics_table({"RPSD_L1": 0.123456}, "test"),
    ):
        assert "…" not in printed(table, width)
