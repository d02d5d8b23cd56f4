"""What a study found: every value (results.csv), a table to read (results.md), and a rerun compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from cryoalign.evaluate.digits import number
from cryoalign.evaluate.document import MAIN, read_document

if TYPE_CHECKING:
    from pathlib import Path

    from plan import Job, Study

KEYS = ["data", "arm", "seed", "split", "measure", "quantity"]


def judged_folder(job: Job, out: Path) -> Path:
    """Return where the evaluation of a job is written."""
    return out / job.folder / "judged"


def collect(study: Study, out: Path) -> pd.DataFrame:
    """Gather the evaluations that are there: a row for each quantity and for each answer.

    What the run itself logged, losses and validation, comes first: the last value of each, as measure
    ``training``.

    Returns
    -------
    DataFrame
        Columns KEYS, value, low, high, floor, verdict.
    """
    rows = []
    for job in study.jobs:
        path = judged_folder(job, out) / "evaluation.json"
        if not path.is_file():
            continue
        key = {"data": job.data, "arm": job.arm, "seed": job.seed, "split": job.split}
        last = pd.read_csv(out / job.folder / "csv" / "metrics.csv").ffill().iloc[-1].drop("step")
        rows += [
            key | {"measure": "training", "quantity": str(name), "value": value}
            for name, value in last.items()
        ]
        for name, finding in read_document(path).candidates[MAIN].measures.items():
            for quantity, found in finding.quantities.items():
                fake, floor = found.fake, found.floor
                values = {"value": fake.value, "low": fake.low, "high": fake.high}
                values["floor"] = None if floor is None else floor.value
                rows.append(key | {"measure": name, "quantity": quantity} | values)
            for question, answer in finding.answers.items():
                rows.append(key | {"measure": name, "quantity": question, "verdict": str(answer.verdict)})
    columns = [*KEYS, "value", "low", "high", "floor", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def with_earlier(study: Study, found: pd.DataFrame, table: Path) -> pd.DataFrame:
    """Add what a table says of runs that are not in the output folder: they were made on another machine.

    Runs that the study does not list any more are left out.

    Returns
    -------
    DataFrame
        As `collect` makes it, in the order of the study's runs.
    """
    if not table.is_file():
        return found
    earlier = read_table(table)
    order = {(job.data, job.arm, job.seed, job.split): number for number, job in enumerate(study.jobs)}
    here = set(found[KEYS[:4]].itertuples(index=False, name=None))
    keys = list(earlier[KEYS[:4]].itertuples(index=False, name=None))
    kept = earlier[[key in order and key not in here for key in keys]]
    if kept.empty or found.empty:
        return found if kept.empty else kept
    both = pd.concat([found, kept], ignore_index=True)
    place = [order[key] for key in both[KEYS[:4]].itertuples(index=False, name=None)]
    return both.iloc[pd.Series(place).argsort(kind="stable")].reset_index(drop=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read a results.csv; a verdict that is not there is None."""
    table = pd.read_csv(path, dtype={"verdict": "string"})
    table["verdict"] = table["verdict"].astype(object).where(table["verdict"].notna(), None)
    return table


def tables(study: Study, found: pd.DataFrame) -> str:
    """Write in Markdown for each data set the mean over the runs of each arm, and what failed."""
    lines: list[str] = []
    for data, one in study.sets.items():
        here = found[found["data"] == data]
        if here.empty:
            continue
        lines += [
            f"### {one.title}",
            "",
            "| arm | runs | " + " | ".join(study.columns) + " | failed | undecided |",
        ]
        lines += ["|---" * (len(study.columns) + 4) + "|"]
        for arm in study.arms:
            runs = here[here["arm"] == arm]
            if runs.empty:
                continue
            count = len(runs[["seed", "split"]].drop_duplicates())
            cells = [_cell(runs, *column) for column in study.columns.values()]
            verdicts = [_verdicts(runs, verdict, count) for verdict in ("fail", "undecided")]
            lines.append("| " + " | ".join([arm.replace("_", " "), str(count), *cells, *verdicts]) + " |")
        floors = [_floor(here, *column) for column in study.columns.values()]
        lines += ["| *raw (floor)* | | " + " | ".join(floors) + " | | |", ""]
    return "\n".join(lines)


def mean_floor(values: pd.DataFrame) -> float | None:
    """Average what raw reaches over seeds and splits, each counted once, however many arms were run on it."""
    floors = values.dropna(subset="floor").groupby(["seed", "split"])["floor"].mean()
    return None if floors.empty else float(floors.mean())


def differences(committed: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """List what a rerun found outside the committed interval of a value, and answers that changed.

    Where a value has no interval, a tenth of it is allowed. Runs that only one table holds are not compared;
    of those that both hold, what is not found any more is listed too.
    """
    runs = found[KEYS[:4]].drop_duplicates()
    # A quantity and an answer may have one name.
    before, now = (table.assign(answers=table["verdict"].notna()) for table in (committed, found))
    both = before.merge(runs, on=KEYS[:4]).merge(
        now, "left", on=[*KEYS, "answers"], suffixes=("", "_new"), indicator=True
    )
    if both.empty:
        return ["no run of the committed table was made again"]
    said = []
    for row in both.rename(columns={"_merge": "there"}).itertuples():
        name = f"{row.data} {row.arm} seed {row.seed} split {row.split}: {row.measure}.{row.quantity}"
        if row.there == "left_only":
            said.append(f"{name} is not found any more")
            continue
        if isinstance(row.verdict, str):
            if row.verdict != row.verdict_new:
                said.append(f"{name} was {row.verdict}, is {row.verdict_new}")
            continue
        if pd.isna(row.value) and pd.isna(row.value_new):
            continue
        tolerance = 0.1 * abs(row.value)
        low = row.value - tolerance if pd.isna(row.low) else row.low
        high = row.value + tolerance if pd.isna(row.high) else row.high
        slack = 1e-3 * abs(row.value) + 1e-9  # the table holds four digits
        if not low - slack <= row.value_new <= high + slack:
            before = f"{number(row.value)} ({number(low)} to {number(high)})"
            said.append(f"{name} was {before}, is {number(row.value_new)}")
    return said


def _values(runs: pd.DataFrame, measure: str, quantity: str, column: str) -> list[float]:
    there = runs[(runs["measure"] == measure) & (runs["quantity"] == quantity)]
    return [float(value) for value in there[column].dropna()]


def _cell(runs: pd.DataFrame, measure: str, quantity: str) -> str:
    """Mean over the runs and its standard error; of one run the interval of its evaluation."""
    values = _values(runs, measure, quantity, "value")
    if not values:
        return ""
    mean = sum(values) / len(values)
    if len(values) > 1:
        error = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
        return f"{mean:.3g} ± {error:.2g}"
    low, high = (_values(runs, measure, quantity, end) for end in ("low", "high"))
    return f"{mean:.3g} ({low[0]:.3g} to {high[0]:.3g})" if low and high else f"{mean:.3g}"


def _floor(runs: pd.DataFrame, measure: str, quantity: str) -> str:
    value = mean_floor(runs[(runs["measure"] == measure) & (runs["quantity"] == quantity)])
    return "" if value is None else f"{value:.3g}"


def _verdicts(runs: pd.DataFrame, verdict: str, count: int) -> str:
    """Name the questions with this verdict; of several runs with the number of them."""
    names = runs[runs["verdict"] == verdict]["quantity"].value_counts(sort=False)
    return ", ".join(
        name if number == count else f"{name} ({number} of {count})" for name, number in names.items()
    )
