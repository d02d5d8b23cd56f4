"""The tables of this study: results.csv and results.md."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLUMNS = ("data", "pairs", "error", "made in", "outcome", "judged", "verdict", "not_excluded", "seconds")


def _mistake(row: dict[str, Any]) -> tuple[str, ...]:
    return row["data"], row["error"], row["made in"]


def write(rows: list[dict[str, Any]], order: list[str]) -> None:
    """Put rows in the place of older ones of the same mistake; sets of data stand in `order`."""
    table = HERE / "results.csv"
    if table.exists():
        with table.open(newline="") as file:
            old = list(csv.DictReader(file))
        done = {_mistake(row) for row in rows}
        rows = [row for row in old if _mistake(row) not in done] + rows
    rows.sort(key=lambda row: (order.index(row["data"]), int(row["pairs"])))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    command = "python experiments/0002_pair_audit/inject.py DATA WORK SET"
    lines = ["# 0002: what the audit says of each mistake", "", f"    {command}", ""]
    for kind in dict.fromkeys((row["data"], str(row["pairs"])) for row in rows):
        members = [row for row in rows if (row["data"], str(row["pairs"])) == kind]
        words = [row["judged"] for row in members]
        counts = ", ".join(f"{word}: {words.count(word)}" for word in dict.fromkeys(words))
        lines += [f"## {kind[0]}, {kind[1]} pairs", "", f"{counts}.", ""]
        lines += ["| mistake | made in | judged | verdict | not excluded, and why |", "|---|---|---|---|---|"]
        columns = ("error", "made in", "judged", "verdict", "not_excluded")
        lines += ["| " + " | ".join(row[column] for column in columns) + " |" for row in members]
        lines.append("")
    (HERE / "results.md").write_text("\n".join(lines))
