"""A comparison as a page and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoalign.comparison.arms import MEASURES
from cryoalign.comparison.curves import charts
from cryoalign.comparison.tables import (
    best,
    quantity_rows,
    run_rows,
    summary_rows,
    verdict_rows,
    write_tables,
)
from cryoalign.io.output import atomic_write
from cryoalign.pages.comparison import comparison_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoalign.comparison.arms import Comparison

PAGE = "report.html"


def notes(comparison: Comparison) -> list[str]:
    """Say what a reader has to know before believing a difference.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of str
        A sentence each.
    """
    runs = [run for arm in comparison.arms for run in arm.runs]
    parts = {str(run.evaluation["facts"].get("part")) for run in runs if run.evaluation}
    said = list(comparison.notes)
    if len(parts) > 1:
        said.append(f"The evaluations are of different parts of the split: {', '.join(sorted(parts))}.")
    if any(run.spectra for run in runs) and "spectra" not in charts(comparison):
        said.append("The spectra are not drawn together: box, pixel size, test images or their norm differ.")
    return said


def write_comparison(
    folder: Path,
    comparison: Comparison,
    *,
    title: str,
    left_out: Sequence[str],
    facts: Mapping[str, Any],
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
        When and by which command it was made, as `cryoalign.provenance` says it.
    """
    sizes = {run.pixel_size for arm in comparison.arms for run in arm.runs}
    page = comparison_page(
        title=title,
        summary=_summary(comparison),
        notes=notes(comparison),
        left_out=left_out,
        facts=facts,
        measures=MEASURES,
        names=comparison.names,
        letters=[arm.letter for arm in comparison.arms],
        summary_rows=summary_rows(comparison),
        run_rows=run_rows(comparison),
        verdicts=verdict_rows(comparison),
        quantities=quantity_rows(comparison),
        charts=charts(comparison),
        pixel_size=sizes.pop() if len(sizes) == 1 else None,
    )
    write_tables(folder, comparison)
    with atomic_write(folder / PAGE) as path:
        path.write_text(page, encoding="utf-8")


def _summary(comparison: Comparison) -> str:
    count = sum(len(arm.runs) for arm in comparison.arms)
    if count == 1:
        return "One run."
    if len(comparison.arms) == 1:
        return f"{count} runs that differ in their seed alone."
    names = ", ".join(comparison.names.values())
    return f"{count} runs in {len(comparison.arms)} arms, which differ in {names}. {best(comparison)}".strip()
