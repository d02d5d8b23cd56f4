"""The tables of a comparison: for the page, the terminal and as CSV."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cryoalign.evaluate.digits import spread_text
from cryoalign.io.output import atomic_write
from cryoalign.report.arms import MEASURES, REFERENCES, measured, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cryoalign.report.arms import Comparison

Plain = dict[str, Any]

SHOWN = {key: name for key, name in MEASURES.items() if not key.endswith("MSE")}
"""What is shown; the CSV files hold all."""


def summary_rows(comparison: Comparison) -> list[Plain]:
    """Return a row for each arm, then sim and the floor, each with mean and spread of every measure.

    Sim and the floor are left out where the runs were not tested on the same images.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``name``, ``words`` (what sets the arm apart), ``values`` (of the keys that differ), ``count`` and
        ``cells`` (mean and deviation by measure).
    """
    rows = [
        {
            "name": arm.letter,
            "words": comparison.name(arm),
            "values": list(arm.values.values()),
            "count": len(arm.runs),
            "cells": {name: spread([measured(run, name) for run in arm.runs]) for name in MEASURES},
        }
        for arm in comparison.arms
    ]
    runs = [run for arm in comparison.arms for run in arm.runs]
    if len({run.images for run in runs}) > 1:  # a mean over other images is nobody's floor
        return rows
    for prefix, title in REFERENCES.items():
        cells = {name: spread([measured(run, prefix + name) for run in runs]) for name in MEASURES}
        cells = {name: (mean, deviation or None) for name, (mean, deviation) in cells.items()}
        if any(mean is not None for mean, _ in cells.values()):
            rows.append({"name": title, "words": "", "values": [], "count": None, "cells": cells})
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
        pairs = [row["cells"][key] for key in SHOWN]
        cells = ["" if mean is None else spread_text(mean, deviation) for mean, deviation in pairs]
        table.add_row(row["name"], Text(row["words"]), str(row["count"] or ""), *cells)
    return table


def run_rows(comparison: Comparison) -> list[Plain]:
    """Return a row for each run: arm, seed, folder and the numbers of its test.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
    """
    return [
        {
            "arm": arm.letter,
            "seed": run.seed,
            "run": str(run.folder),
            "cells": [measured(run, name) for name in SHOWN],
        }
        for arm in comparison.arms
        for run in arm.runs
    ]


def difference_rows(comparison: Comparison) -> list[Plain]:
    """Return a row for each value of every key that differs, with the arms that have it.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``key`` and ``values``: by value the letters of its arms.
    """
    rows = []
    for key in comparison.names:
        values: dict[str, list[str]] = {}
        for arm in comparison.arms:
            values.setdefault(arm.values[key], []).append(arm.letter)
        rows.append({"key": key, "values": {value: ", ".join(found) for value, found in values.items()}})
    return rows


def write_tables(folder: Path, comparison: Comparison) -> None:
    """Write ``runs.csv``, a row a run with all metrics of its test, and ``summary.csv``, a row an arm.

    Parameters
    ----------
    folder : Path
    comparison : Comparison
    """
    keys = list(comparison.names)
    runs = [(arm, run) for arm in comparison.arms for run in arm.runs]
    metrics = list(dict.fromkeys(name for _, run in runs for name in run.metrics))
    _write(
        folder / "runs.csv",
        ["arm", "seed", "run", *keys, *metrics],
        (
            [
                arm.letter,
                run.seed,
                run.folder,
                *arm.values.values(),
                *(run.metrics.get(name) for name in metrics),
            ]
            for arm, run in runs
        ),
    )
    head = [f"{name}_{part}" for name in MEASURES for part in ("mean", "sd")]
    _write(
        folder / "summary.csv",
        ["arm", "n", *keys, *head],
        (
            [
                row["name"],
                row["count"],
                *(row["values"] or [""] * len(keys)),
                *(value for cell in row["cells"].values() for value in cell),
            ]
            for row in summary_rows(comparison)
        ),
    )


def distance_words(comparison: Comparison) -> str:
    """Describe between which values the arms' distance from raw's spectrum lies, and what it does not tell.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Empty where there is but one arm, or no RPSD was measured.
    """
    runs = [run for arm in comparison.arms for run in arm.runs]
    means = [spread([measured(run, "RPSD_L1") for run in arm.runs])[0] for arm in comparison.arms]
    known = [mean for mean in means if mean is not None and math.isfinite(mean)]
    if len(known) < 2:
        return ""
    if len({run.images for run in runs}) > 1:
        return "They were not tested on the same images: their numbers do not tell which is better."
    floor, _ = spread([measured(run, "floor_RPSD_L1") for run in runs])
    beside = "" if floor is None else f"; another raw image, the floor, has {spread_text(floor)}"
    return (
        f"RPSD L1 on the test set lies between {spread_text(min(known))} and {spread_text(max(known))} over "
        f"the arms{beside}. RPSD alone does not tell which generator is better."
    )


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_write(path) as place, place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
