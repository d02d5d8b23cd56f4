"""The page of a comparison: what differs between runs, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from cryoalign.evaluate.fact_rows import command_line
from cryoalign.evaluate.rendering import drawing, moment, picture, render
from cryoalign.report.measures import SHOWN
from cryoalign.report.verdicts import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryoalign.evaluate.finding import Chart
    from cryoalign.report.particles import Gallery
    from cryoalign.report.tables import DifferenceRow, RunRow, SummaryRow
    from cryoalign.report.verdicts import QuantityRow, SourceRow, VerdictRow

#: Arms in one table of verdicts or quantities: as many as fit on a page of A4.
_COLUMNS = 5
_HEADING = 30  # characters of an arm's name over a column


@dataclass(frozen=True)
class Page:
    """What the page of a comparison shows, from its top to its foot.

    Attributes
    ----------
    title, summary : str
    tallies, notes : sequence of str
        Sentences.
    summary_rows : sequence of SummaryRow
    gallery : Gallery
    charts : mapping of str to Chart
    undrawn : str
        Which charts are missing, and why.
    pixel_size : float or None
        In A, where all runs have the same.
    arms : mapping of str to str
        Names of all arms by their letters.
    evaluated : sequence of str
        Letters of those that were evaluated.
    verdicts, quantities, sources : sequence of VerdictRow, QuantityRow, SourceRow
    differences : sequence of DifferenceRow
    run_rows : sequence of RunRow
    left_out : sequence of str
        What was found and is not in the comparison.
    facts : mapping
        ``command``, ``started`` and ``versions``, as `cryoalign.runs.provenance` says them.
    """

    title: str
    summary: str
    tallies: Sequence[str]
    notes: Sequence[str]
    summary_rows: Sequence[SummaryRow]
    gallery: Gallery
    charts: Mapping[str, Chart]
    undrawn: str
    pixel_size: float | None
    arms: Mapping[str, str]
    evaluated: Sequence[str]
    verdicts: Sequence[VerdictRow]
    quantities: Sequence[QuantityRow]
    sources: Sequence[SourceRow]
    differences: Sequence[DifferenceRow]
    run_rows: Sequence[RunRow]
    left_out: Sequence[str]
    facts: Mapping[str, object]


def comparison_page(page: Page) -> str:
    """Make ``report.html`` of a comparison.

    Parameters
    ----------
    page : Page

    Returns
    -------
    str
        A whole page that needs no other file, no network and no script.
    """
    return render(
        "comparison.html",
        title=page.title,
        page=page,
        measures=SHOWN,
        settings=SETTINGS,
        fact_rows=_fact_rows(page.facts),
        headings={letter: name if len(name) <= _HEADING else "" for letter, name in page.arms.items()},
        unevaluated=[letter for letter in page.arms if letter not in page.evaluated],
        verdict_tables=_column_blocks(list(page.arms)),
        quantity_tables=_column_blocks(page.evaluated),
        groups=[(name, list(rows)) for name, rows in groupby(page.quantities, lambda row: row.measure)],
        charts=[(plan.title, drawing(plan, key, page.pixel_size)) for key, plan in page.charts.items()],
        particles=picture(page.gallery.png) if page.gallery.png else "",
    )


def _fact_rows(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    """When, by which command and with which versions the page was made."""
    command, versions = facts.get("command"), facts.get("versions")
    arguments = [str(argument) for argument in command] if isinstance(command, list | tuple) else []
    packages = versions.items() if isinstance(versions, dict) else ()
    return [
        ("made", moment(str(facts.get("started") or ""))),
        ("command", command_line(arguments)),
        ("versions", ", ".join(f"{name} {entry}" for name, entry in packages)),
    ]


def _column_blocks(letters: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Deal arms out to tables that fit on a page: place and letter."""
    places = list(enumerate(letters))
    return [places[start : start + _COLUMNS] for start in range(0, len(places), _COLUMNS)]
