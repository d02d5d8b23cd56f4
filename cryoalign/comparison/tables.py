"""The tables of a comparison: for the page, the terminal and as CSV."""

from __future__ import annotations

import csv
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cryoalign.comparison.arms import MEASURES, REFERENCES, measured, spread
from cryoalign.io.output import atomic_write
from cryoalign.referee.digits import spread_text
from cryoalign.referee.document import MAIN
from cryoalign.referee.terminal import answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cryoalign.comparison.arms import Arm, Comparison
    from cryoalign.comparison.reading import RunResult

Plain = dict[str, Any]


def summary_rows(comparison: Comparison) -> list[Plain]:
    """Give one row an arm, then sim and the floor, each with mean and spread of every measure.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``name``, ``values`` (of the keys that differ), ``count`` and ``cells`` (mean and deviation by
        measure).
    """
    rows = [
        {
            "name": arm.letter,
            "values": list(arm.values.values()),
            "count": len(arm.runs),
            "cells": {name: spread([measured(run, name) for run in arm.runs]) for name in MEASURES},
        }
        for arm in comparison.arms
    ]
    runs = [run for arm in comparison.arms for run in arm.runs]
    for prefix, title in REFERENCES.items():
        cells = {name: spread([measured(run, prefix + name) for run in runs]) for name in MEASURES}
        cells = {name: (mean, deviation or None) for name, (mean, deviation) in cells.items()}
        if any(mean is not None for mean, _ in cells.values()):
            rows.append({"name": title, "values": [], "count": None, "cells": cells})
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
    for name in comparison.names.values():
        table.add_column(Text(name))
    table.add_column("n", justify="right")
    shown = {key: name for key, name in MEASURES.items() if not key.endswith("MSE")}
    for name in shown.values():
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary_rows(comparison):
        values = row["values"] or [""] * len(comparison.names)
        pairs = [row["cells"][key] for key in shown]
        cells = ["" if mean is None else spread_text(mean, deviation) for mean, deviation in pairs]
        table.add_row(row["name"], *map(Text, values), str(row["count"] or ""), *cells)
    return table


def run_rows(comparison: Comparison) -> list[Plain]:
    """Give one row a run: arm, seed, folder and the numbers of its test.

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
            "cells": [measured(run, name) for name in MEASURES],
        }
        for arm in comparison.arms
        for run in arm.runs
    ]


def verdict_rows(comparison: Comparison) -> list[Plain]:
    """Count the verdicts of each arm's evaluations.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``question`` and ``cells``, for each arm how many of its runs got which verdict; empty where no run
        was evaluated.
    """
    questions: dict[tuple[str, str], str] = {}
    for arm in comparison.arms:
        for run in _evaluated(arm):
            for measure, key, answer in answers(run.evaluation or {}):
                questions.setdefault((measure, key), answer["question"])
    rows = []
    for (measure, key), question in questions.items():
        cells = []
        for arm in comparison.arms:
            given = (_of(run, measure, "answers", key) for run in _evaluated(arm))
            count = Counter(answer["verdict"] for answer in given if answer)
            cells.append({word: count[word] for word in ("fail", "undecided", "pass") if count[word]})
        rows.append({"question": question, "cells": cells})
    return rows


def quantity_rows(comparison: Comparison) -> list[Plain]:
    """Give mean and spread of what the evaluations measured.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``measure``, ``quantity`` (that of the first evaluation that has it) and ``cells``, mean and deviation
        by arm.
    """
    first: dict[tuple[str, str], Plain] = {}
    for arm in comparison.arms:
        for run in _evaluated(arm):
            for measure, content in _measures(run).items():
                for key, quantity in content["quantities"].items():
                    first.setdefault((measure, key), quantity)
    return [
        {
            "measure": measure,
            "quantity": quantity,
            "cells": [
                spread(
                    [
                        found["fake"]["value"]
                        for run in _evaluated(arm)
                        if (found := _of(run, measure, "quantities", key))
                    ]
                )
                for arm in comparison.arms
            ],
        }
        for (measure, key), quantity in first.items()
    ]


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


def best(comparison: Comparison) -> str:
    """Say which arm comes closest to the measurement.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Empty where there is but one arm, or no RPSD was measured.
    """
    known = {}
    for arm in comparison.arms:
        mean, deviation = spread([measured(run, "RPSD_L1") for run in arm.runs])
        if mean is not None and math.isfinite(mean):
            known[comparison.label(arm)] = (mean, deviation)
    floor, _ = spread([measured(run, "floor_RPSD_L1") for arm in comparison.arms for run in arm.runs])
    if len(known) < 2:
        return ""
    name = min(known, key=lambda label: known[label][0])
    beside = "" if floor is None else f"; another raw image has {spread_text(floor)}"
    return f"By RPSD L1 on the test set {name} comes closest to raw, {spread_text(*known[name])}{beside}."


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_write(path) as place, place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)


def _evaluated(arm: Arm) -> list[RunResult]:
    return [run for run in arm.runs if run.evaluation is not None]


def _measures(run: RunResult) -> Plain:
    found: Plain = (run.evaluation or {})["candidates"][MAIN]["measures"]
    return found


def _of(run: RunResult, measure: str, kind: str, key: str) -> Plain | None:
    found: Plain | None = _measures(run).get(measure, {}).get(kind, {}).get(key)
    return found
