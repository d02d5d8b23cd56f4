"""The page of a comparison: what differs between runs, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoalign.pages.evaluation import command_line, labelled
from cryoalign.pages.rendering import drawing, moment, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Plain = dict[str, Any]

#: Arms beside each other in a table of verdicts or quantities: as many as fit on a page of A4.
_BESIDE = 5


def comparison_page(
    *,
    title: str,
    summary: str,
    tallies: Sequence[str],
    notes: Sequence[str],
    left_out: Sequence[str],
    facts: Mapping[str, Any],
    measures: Mapping[str, str],
    settings: Mapping[str, str],
    letters: Sequence[str],
    evaluated: Sequence[str],
    differences: Sequence[Plain],
    summary_rows: Sequence[Plain],
    run_rows: Sequence[Plain],
    verdicts: Sequence[Plain],
    quantities: Sequence[Plain],
    sources: Sequence[Plain],
    charts: Mapping[str, Plain],
    undrawn: str,
    pixel_size: float | None,
) -> str:
    """Make ``report.html`` of a comparison.

    Parameters
    ----------
    title, summary : str
    tallies, notes, left_out : sequence of str
        Sentences: what the evaluations of each arm found, what to know before believing a difference, and
        what is not in the comparison.
    facts : mapping
        ``command``, ``started`` and ``versions``, as `cryoalign.provenance` says them.
    measures : mapping of str to str
        Columns of the tables: key and title.
    settings : mapping of str to str
        Settings of an evaluation: key and title.
    letters, evaluated : sequence of str
        Of all arms, and of those that were evaluated.
    differences, summary_rows, run_rows : sequence of dict
        As `cryoalign.comparison.tables` makes them.
    verdicts, quantities, sources : sequence of dict
        As `cryoalign.comparison.verdicts` makes them.
    charts : mapping of str to dict
        As `cryoalign.comparison.curves` plans them.
    undrawn : str
        Which are not drawn, and why.
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
    return render(
        "comparison.html",
        title=title,
        summary=summary,
        tallies=tallies,
        notes=notes,
        left_out=left_out,
        fact_rows=[
            ("made", moment(str(facts.get("started") or ""))),
            ("command", command_line(facts.get("command") or [], "report")),
            (
                "versions",
                ", ".join(f"{name} {entry}" for name, entry in (facts.get("versions") or {}).items()),
            ),
        ],
        measures=measures,
        settings=settings,
        unevaluated=[letter for letter in letters if letter not in evaluated],
        differences=differences,
        summary_rows=summary_rows,
        run_rows=run_rows,
        verdicts=verdicts,
        sources=sources,
        verdict_tables=_side_by_side(letters),
        quantity_tables=_side_by_side(evaluated),
        undrawn=undrawn,
        groups=groups,
        charts=[
            {"title": plan["title"], "svg": drawing(plan, key, pixel_size)} for key, plan in charts.items()
        ],
    )


def _side_by_side(letters: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Deal arms out to tables that fit on a page: place and letter."""
    places = list(enumerate(letters))
    return [places[start : start + _BESIDE] for start in range(0, len(places), _BESIDE)]
