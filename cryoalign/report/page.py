"""The page of a comparison: what differs between runs, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoalign.evaluate.fact_rows import command_line
from cryoalign.evaluate.rendering import drawing, labelled, moment, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryoalign.evaluate.finding import Chart

Plain = dict[str, Any]

#: Arms beside each other in a table of verdicts or quantities: as many as fit on a page of A4.
_BESIDE = 5


def comparison_page(
    *,
    facts: Mapping[str, Any],
    letters: Sequence[str],
    evaluated: Sequence[str],
    quantities: Sequence[Plain],
    charts: Mapping[str, Chart],
    pixel_size: float | None,
    **shown: Any,
) -> str:
    """Make ``report.html`` of a comparison.

    Parameters
    ----------
    facts : mapping
        ``command``, ``started`` and ``versions``, as `cryoalign.runs.provenance` says them.
    letters, evaluated : sequence of str
        Of all arms, and of those that were evaluated.
    quantities : sequence of dict
        As `cryoalign.report.verdicts` makes them.
    charts : mapping of str to Chart
        As `cryoalign.report.curves` plans them.
    pixel_size : float or None
        In A, where all runs have the same.
    **shown
        What stands on the page as it is: ``title`` and ``summary``, a str each; ``tallies``, ``notes`` and
        ``left_out``, sentences each; ``undrawn``, which charts are missing and why; ``measures`` and
        ``settings``, titles of columns by key; ``differences``, ``summary_rows`` and ``run_rows``, as
        `cryoalign.report.tables` makes them; ``verdicts`` and ``sources``, as
        `cryoalign.report.verdicts` does.

    Returns
    -------
    str
        A whole page that needs no other file, no network and no script.
    """
    groups: dict[str, list[Plain]] = {}
    for row in quantities:
        groups.setdefault(row["measure"], []).append({**row, "label": labelled(row["quantity"])})
    drawn = [(plan.title, drawing(plan, key, pixel_size)) for key, plan in charts.items()]
    return render(
        "comparison.html",
        fact_rows=_fact_rows(facts),
        unevaluated=[letter for letter in letters if letter not in evaluated],
        verdict_tables=_side_by_side(letters),
        quantity_tables=_side_by_side(evaluated),
        groups=groups,
        charts=drawn,
        **shown,
    )


def _fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """When, by which command and with which versions the page was made."""
    versions = (facts.get("versions") or {}).items()
    return [
        ("made", moment(str(facts.get("started") or ""))),
        ("command", command_line(facts.get("command") or [], "report")),
        ("versions", ", ".join(f"{name} {entry}" for name, entry in versions)),
    ]


def _side_by_side(letters: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Deal arms out to tables that fit on a page: place and letter."""
    places = list(enumerate(letters))
    return [places[start : start + _BESIDE] for start in range(0, len(places), _BESIDE)]
