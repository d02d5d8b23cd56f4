"""The tables of a comparison: for the page, the terminal and as CSV."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from rich.table import Table
from rich.text import Text

from cryoalign.evaluate.digits import spread_text
from cryoalign.io.output import atomic_write
from cryoalign.report.measures import (
    MEASURES,
    REFERENCES,
    SHOWN,
    Spread,
    measured,
    measurements,
    spread,
    spreads,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.report.arms import Comparison


@dataclass(frozen=True)
class SummaryRow:
    """Mean and spread of an arm's tests, or of sim or the floor in all of them.

    Attributes
    ----------
    title : str
        Letter of the arm, or what was measured for comparison.
    name : str
        What sets the arm apart.
    settings : dict of str to str
        Of the keys that differ; empty for what is no arm.
    count : int or None
        Runs of the arm.
    cells : dict of str to Spread
        By measure.
    """

    title: str
    name: str
    settings: dict[str, str]
    count: int | None
    cells: dict[str, Spread]


@dataclass(frozen=True)
class RunRow:
    """A run, and the numbers of its test in the order of `SHOWN`."""

    arm: str
    name: str
    folder: str
    cells: tuple[float | None, ...]


@dataclass(frozen=True)
class DifferenceRow:
    """A key that differs, and which arms have which of its values."""

    key: str
    arms: dict[str, str]


def summary_rows(comparison: Comparison) -> list[SummaryRow]:
    """Return a row for each arm, then sim and the floor, each with mean and spread of every measure.

    Sim and the floor are left out where the runs were not tested on the same images.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of SummaryRow
    """
    table = measurements({arm.letter: arm.runs for arm in comparison.arms})
    fakes = table[table["of"] == "fake"]
    rows = [
        SummaryRow(
            arm.letter,
            arm.name or "all runs",
            arm.settings,
            len(arm.runs),
            spreads(fakes[fakes["arm"] == arm.letter]),
        )
        for arm in comparison.arms
    ]
    if not comparison.same_images:  # a mean over other images is nobody's floor
        return rows
    for kind in REFERENCES.values():
        cells = spreads(table[table["of"] == kind])
        cells = {name: Spread(cell.mean, cell.deviation or None) for name, cell in cells.items()}
        if any(cell.mean is not None for cell in cells.values()):
            rows.append(SummaryRow(kind, "", {}, None, cells))
    return rows


def summary_table(comparison: Comparison, title: str) -> Table:
    """Lay out the summary for the terminal.

    Parameters
    ----------
    comparison : Comparison
    title : str

    Returns
    -------
    rich.table.Table
    """
    table = Table(
        title=title, caption="mean ± standard deviation over n runs; RPSD excess: 1 is another raw image"
    )
    table.add_column("arm", no_wrap=True)
    table.add_column("settings", overflow="fold")
    table.add_column("n", justify="right")
    for name in SHOWN.values():
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary_rows(comparison):
        shown = [row.cells[key] for key in SHOWN]
        cells = ["" if cell.mean is None else spread_text(cell.mean, cell.deviation) for cell in shown]
        table.add_row(row.title, Text(row.name), str(row.count or ""), *cells)
    return table


def run_rows(comparison: Comparison) -> list[RunRow]:
    """Return a row for each run: its name, its folder and the numbers of its test.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of RunRow
    """
    return [
        RunRow(arm.letter, arm.run_name(run), str(run.folder), tuple(measured(run, name) for name in SHOWN))
        for arm in comparison.arms
        for run in arm.runs
    ]


def difference_rows(comparison: Comparison) -> list[DifferenceRow]:
    """Return a row for each key that differs, with the letters of the arms that have each of its values.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of DifferenceRow
    """
    letters = pd.Series([arm.letter for arm in comparison.arms])
    values = pd.DataFrame([arm.settings for arm in comparison.arms])
    rows = []
    for key in comparison.names:
        found = letters.groupby(values[key], sort=False).agg(", ".join)
        rows.append(DifferenceRow(key, {str(value): text for value, text in found.items()}))
    return rows


def write_tables(folder: Path, comparison: Comparison) -> None:
    """Write ``runs.csv``, a row a run with all metrics of its test, and ``summary.csv``, a row an arm.

    Parameters
    ----------
    folder : Path
    comparison : Comparison
    """
    keys = list(comparison.names)
    metrics = dict.fromkeys(name for run in comparison.runs for name in run.metrics)
    runs = [
        {"arm": arm.letter, "seed": run.seed, "run": str(run.folder)}
        | arm.settings
        | {name: run.metrics.get(name) for name in metrics}
        for arm in comparison.arms
        for run in arm.runs
    ]
    _write(folder / "runs.csv", pd.DataFrame(runs, dtype=object))
    summary = [
        {"arm": row.title, "n": row.count}
        | {key: row.settings.get(key, "") for key in keys}
        | {f"{name}_mean": cell.mean for name, cell in row.cells.items()}
        | {f"{name}_sd": cell.deviation for name, cell in row.cells.items()}
        for row in summary_rows(comparison)
    ]
    head = [f"{name}_{part}" for name in MEASURES for part in ("mean", "sd")]
    _write(folder / "summary.csv", pd.DataFrame(summary, columns=["arm", "n", *keys, *head], dtype=object))


def distance_sentence(comparison: Comparison) -> str:
    """Describe between which values the arms' distance from raw's spectrum lies, and what it leaves open.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Empty where there is but one arm, or no RPSD was measured.
    """
    cells = [row.cells["RPSD_L1"].mean for row in summary_rows(comparison) if row.count is not None]
    known = [mean for mean in cells if mean is not None and math.isfinite(mean)]
    if len(known) < 2:
        return ""
    if not comparison.same_images:
        return "They were not tested on the same images: their numbers do not tell which is better."
    floors = [measured(run, "floor_RPSD_L1") for run in comparison.runs]
    floor = spread(value for value in floors if value is not None).mean
    compared = "" if floor is None else f"; another raw image, the floor, has {spread_text(floor)}"
    return (
        f"RPSD L1 on the test set lies between {spread_text(min(known))} and {spread_text(max(known))} over "
        f"the arms{compared}. RPSD alone does not tell which generator is better."
    )


def _write(path: Path, table: pd.DataFrame) -> None:
    cells = table.map(lambda cell: "" if cell is None else cell)  # NaN is a number that a run had
    with atomic_write(path) as place:
        cells.to_csv(place, index=False, na_rep="nan", lineterminator="\r\n", encoding="utf-8")
