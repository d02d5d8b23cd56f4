"""The page of an evaluation: verdicts first, then each measure with its numbers and figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cryoalign.evaluate.digits import interval_text
from cryoalign.evaluate.document import MAIN
from cryoalign.evaluate.fact_rows import bin_names, fact_rows
from cryoalign.evaluate.finding import Finding, Verdict
from cryoalign.evaluate.rendering import drawing, labelled, picture, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from cryoalign.evaluate.document import Candidate, Document, Facts
    from cryoalign.evaluate.finding import Answer, Interval, Quantity

_GALLERY = "Some particles: sim, fake and raw, as they are and low-passed, and their power spectra"
_UNPAIRED_GALLERY = _GALLERY.replace("fake and raw,", "fake, and raw of another particle,")
_NOTHING = Finding("")
_ORDER = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS, Verdict.NOT_ASKED)


def evaluation_page(document: Document, *, gallery: bytes | None = None) -> str:
    """Make ``report.html`` of the content of ``evaluation.json``.

    Parameters
    ----------
    document : Document
        As it was made, or read from the file.
    gallery : bytes, optional
        A PNG image of some sims, fakes and raws, see `cryoalign.figures.panels`.

    Returns
    -------
    str
        A whole page that needs no other file, no network and no script.
    """
    facts = document.facts
    answers = [
        (_anchor(name), answer)
        for name, finding in document.judged.items()
        for answer in finding.answers.values()
    ]
    tally = Counter(answer.verdict for _, answer in answers)
    return render(
        "evaluation.html",
        title=facts.title or "How large is the gap, and is it closed?",
        summary=_summary([answer for _, answer in answers]),
        tally={word: tally[word] for word in _ORDER},
        answers=answers,
        fact_rows=list(fact_rows(facts)),
        notes=facts.notes,
        gallery=None if gallery is None else picture(gallery),
        gallery_caption=_GALLERY if facts.paired is None else _UNPAIRED_GALLERY,
        baselines=_baselines(document.candidates),
        measures=[_section(finding, facts) for finding in document.judged.values()],
    )


def _anchor(measure: str) -> str:
    return f"measure-{measure}"


def _summary(answers: Sequence[Answer]) -> str:
    """One sentence on top: what failed is named."""
    left_out = sum(answer.verdict is Verdict.NOT_ASKED for answer in answers)
    asked = len(answers) - left_out
    if not asked:
        return "No question was asked."
    failed = [answer.question for answer in answers if answer.verdict is Verdict.FAIL]
    undecided = sum(answer.verdict is Verdict.UNDECIDED for answer in answers)
    rest = f"; {undecided} cannot be decided with these data" if undecided else ""
    rest += f"; {left_out} could not be asked, since these are no pairs" if left_out else ""
    count = f"{len(failed) or 'None'} of {asked} questions failed{rest}."
    return f"{count} Failed: {' '.join(failed)}" if failed else count


class _Section(NamedTuple):
    """One measure, as the page shows it."""

    anchor: str
    finding: Finding
    binned: list[Quantity]
    bin_names: list[str]
    worst: str
    charts: list[tuple[str, Markup]]  # title and drawing


def _section(finding: Finding, facts: Facts) -> _Section:
    binned = [quantity for quantity in finding.quantities.values() if any(quantity.bins)]
    names = bin_names(facts.defocus_bins)
    count = max((len(quantity.bins) for quantity in binned), default=0)
    if len(names) != count:
        names = [f"bin {place + 1}" for place in range(count)]
    return _Section(
        anchor=_anchor(finding.measure),
        finding=finding,
        binned=binned,
        bin_names=names,
        worst=_worst(binned, names),
        charts=[
            (chart.title, drawing(chart, f"{finding.measure}-{chart.key}", facts.pixel_size))
            for chart in finding.charts.values()
        ],
    )


def _worst(binned: Sequence[Quantity], names: Sequence[str]) -> str:
    """Name the worst bin of each quantity that has one."""
    found = []
    for quantity in binned:
        place = quantity.worst_bin
        entry = None if place is None else quantity.bins[place]
        if place is not None and entry is not None:
            value = interval_text(entry.value, entry.low, entry.high)
            found.append(f"{names[place]} for {labelled(quantity)}, {value}")
    return f"Worst bin: {'; '.join(found)}." if found else ""


class _QuestionRow(NamedTuple):
    question: str
    verdicts: list[Verdict | None]  # of each candidate


class _QuantityRow(NamedTuple):
    quantity: Quantity
    values: list[Interval | None]  # of each candidate


class _Baselines(NamedTuple):
    """Verdicts and numbers of all candidates, one column each."""

    names: list[str]
    questions: list[_QuestionRow]
    groups: list[tuple[str, list[_QuantityRow]]]  # by measure


def _baselines(candidates: Mapping[str, Candidate]) -> _Baselines | None:
    """Compare the candidates, as far as a second one was measured too."""
    if len(candidates) < 2:
        return None
    table = _Baselines(list(candidates), [], [])
    for name, finding in candidates[MAIN].measures.items():
        columns = [candidate.measures.get(name, _NOTHING) for candidate in candidates.values()]
        for key, answer in finding.answers.items():
            verdicts = [column.answers[key].verdict if key in column.answers else None for column in columns]
            if len(verdicts) - verdicts.count(None) > 1:
                table.questions.append(_QuestionRow(answer.question, verdicts))
        rows = [
            _QuantityRow(
                quantity,
                [column.quantities[key].fake if key in column.quantities else None for column in columns],
            )
            for key, quantity in finding.quantities.items()
            if sum(key in column.quantities for column in columns) > 1
        ]
        if rows:
            table.groups.append((name, rows))
    return table
