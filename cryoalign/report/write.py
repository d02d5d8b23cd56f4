"""A comparison as a page and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.io.output import atomic_write
from cryoalign.report.curves import charts, undrawn
from cryoalign.report.notes import comparison_notes
from cryoalign.report.page import Page, comparison_page
from cryoalign.report.particles import particle_gallery
from cryoalign.report.tables import (
    difference_rows,
    distance_sentence,
    run_rows,
    summary_rows,
    write_tables,
)
from cryoalign.report.verdicts import (
    evaluated,
    quantity_rows,
    setting_notes,
    source_rows,
    tallies,
    verdict_rows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoalign.report.arms import Comparison

PAGE = "report.html"

_NAMED = 5  # keys that differ, in the sentence on top


def notes(comparison: Comparison) -> list[str]:
    """Describe what a reader has to know before believing a difference.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of str
        A sentence each.
    """
    sentences = [*comparison_notes(comparison), *setting_notes(comparison)]
    if all(run.evaluation is None for run in comparison.runs):
        sentences.append("None of the runs was evaluated: cryoalign evaluate run=RUN gives verdicts.")
    if any(run.spectra for run in comparison.runs) and "spectra" not in charts(comparison):
        sentences.append(
            "The spectra are not drawn together: box, pixel size, test images or their norm differ."
        )
    return sentences


def write_comparison(
    folder: Path,
    comparison: Comparison,
    *,
    title: str,
    left_out: Sequence[str],
    facts: Mapping[str, object],
) -> None:
    """Write ``report.html``, ``runs.csv`` and ``summary.csv``.

    Parameters
    ----------
    folder : Path
    comparison : Comparison
    title : str
    left_out : sequence of str
        What was found and is not in the comparison.
    facts : mapping
        When and by which command it was made, as `cryoalign.runs.provenance` says it.
    """
    sizes = {run.pixel_size for run in comparison.runs}
    page = Page(
        title=title,
        summary=summary(comparison),
        tallies=tallies(comparison),
        notes=notes(comparison),
        summary_rows=summary_rows(comparison),
        gallery=particle_gallery(comparison),
        charts=charts(comparison),
        undrawn=undrawn(comparison),
        pixel_size=sizes.pop() if len(sizes) == 1 else None,
        arms={arm.letter: arm.name for arm in comparison.arms},
        evaluated=[arm.letter for arm in comparison.arms if evaluated(arm)],
        verdicts=verdict_rows(comparison),
        quantities=quantity_rows(comparison),
        sources=source_rows(comparison),
        differences=difference_rows(comparison),
        run_rows=run_rows(comparison),
        left_out=left_out,
        facts=facts,
    )
    write_tables(folder, comparison)
    with atomic_write(folder / PAGE) as path:
        path.write_text(comparison_page(page), encoding="utf-8")


def summary(comparison: Comparison) -> str:
    """Describe how many runs there are, what differs in them, and how far from raw's spectrum they are.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Two or three sentences that crown no arm.
    """
    count = len(comparison.runs)
    if count == 1:
        return "One run."
    if len(comparison.arms) == 1:
        return f"{count} runs that differ in their seed alone."
    names = [comparison.names[key] for key in comparison.naming]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    differ = (
        f"{count} runs in {len(comparison.arms)} arms, which differ in {', '.join(names[:_NAMED])}{more}."
    )
    return f"{differ} {distance_sentence(comparison)}".strip()
