"""The page of a comparison: what differs between runs, and what came of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from cryoalign.pages.evaluation import labelled
from cryoalign.pages.rendering import drawing, moment, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Plain = dict[str, Any]


def comparison_page(
    *,
    title: str,
    summary: str,
    notes: Sequence[str],
    left_out: Sequence[str],
    facts: Mapping[str, Any],
    measures: Mapping[str, str],
    names: Mapping[str, str],
    letters: Sequence[str],
    summary_rows: Sequence[Plain],
    run_rows: Sequence[Plain],
    verdicts: Sequence[Plain],
    quantities: Sequence[Plain],
    charts: Mapping[str, Plain],
    pixel_size: float | None,
) -> str:
    """Make ``report.html`` of a comparison.

    Parameters
    ----------
    title, summary : str
    notes, left_out : sequence of str
        Sentences: what to know before believing a difference, and what is not in the comparison.
    facts : mapping
        ``command``, ``started`` and ``versions``, as `cryoalign.provenance` says them.
    measures : mapping of str to str
        Columns of the tables: key and title.
    names : mapping of str to str
        Keys of the configuration that differ between arms, and their short names.
    letters : sequence of str
        Of the arms.
    summary_rows, run_rows, verdicts, quantities : sequence of dict
        As `cryoalign.comparison.tables` makes them.
    charts : mapping of str to dict
        As `cryoalign.comparison.curves` plans them.
    pixel_size : float or None
        In A, where all runs have the same.

    Returns
    -------
    str
        A whole page that needs no other file, no network and no script.
    """
    groups: dict[str, list[Plain]] = {}
    for row in quantities:
        entry = {**row, "label": labelled(row["quantity"])}
        groups.setdefault(row["measure"], []).append(entry)
    command = facts.get("command") or []
    return render(
        "comparison.html",
        title=title,
        summary=summary,
        notes=notes,
        left_out=left_out,
        fact_rows=[
            ("made", moment(str(facts.get("started") or ""))),
            ("command", shlex.join(map(str, command))),
            (
                "versions",
                ", ".join(f"{name} {entry}" for name, entry in (facts.get("versions") or {}).items()),
            ),
        ],
        measures=measures,
        names=names,
        letters=letters,
        summary_rows=summary_rows,
        run_rows=run_rows,
        verdicts=verdicts,
        groups=groups,
        charts=[
            {"title": plan["title"], "svg": drawing(plan, key, pixel_size)} for key, plan in charts.items()
        ],
    )
