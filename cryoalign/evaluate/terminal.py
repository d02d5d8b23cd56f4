"""What the referee found, in the terminal: a line a question, then the answers in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cryoalign.evaluate.digits import interval_text, number
from cryoalign.evaluate.finding import Verdict
from cryoalign.evaluate.rendering import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.evaluate.document import Document
    from cryoalign.evaluate.finding import Answer, Finding, Quantity

_COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.UNDECIDED: "yellow",
    Verdict.NOT_ASKED: "dim",
}
_CAPTION = (
    "fake with its 95 % interval; floor: a real measurement in its place; ceiling: sim as it is. "
    "A question without a number has it in the sentences below."
)


def verdict_table(document: Document, title: str) -> Table:
    """Lay out the verdicts on the fake, each with the number that belongs to it.

    Parameters
    ----------
    document : Document
    title : str

    Returns
    -------
    rich.table.Table
        Question, verdict, fake, floor and ceiling.
    """
    table = Table(title=title, caption=_CAPTION)
    table.add_column("question", ratio=3)
    table.add_column("verdict", no_wrap=True)
    table.add_column("fake", justify="right")
    table.add_column("floor", justify="right")
    table.add_column("ceiling", justify="right")
    for finding, answer in answers(document):
        table.add_row(Text(answer.question), _sign(answer.verdict), *_cells(_quantity(finding, answer)))
    return table


def baseline_table(document: Document, title: str) -> Table | None:
    """Lay out the verdicts of all candidates, each row with the one quantity that it names.

    Questions that only the fake was asked are left out.

    Parameters
    ----------
    document : Document
    title : str

    Returns
    -------
    rich.table.Table or None
        None where the fake is the only candidate.
    """
    candidates = document.candidates
    if len(candidates) < 2:
        return None
    table = Table(title=title)
    table.add_column("question", ratio=3)
    for name in candidates:
        table.add_column(name, no_wrap=True)
    for finding, answer in answers(document):
        quantity = _quantity(finding, answer)
        row = [
            _verdict_and_number(candidate.measures.get(finding.measure), answer.key, quantity)
            for candidate in candidates.values()
        ]
        if sum(bool(cell) for cell in row) > 1:
            label = "" if quantity is None else f"\n{quantity.label}"
            table.add_row(Text.assemble(answer.question, (label, "dim")), *row)
    return table


def verdict_sentences(document: Document) -> Iterator[Text]:
    """Return all questions with their answers in sentences, then what was left out.

    Parameters
    ----------
    document : Document

    Yields
    ------
    rich.text.Text
        A line each.
    """
    for _, answer in answers(document):
        yield Text.assemble(_sign(answer.verdict), ": ", (answer.question, "bold"), " ", answer.explanation)
    for name, finding in document.judged.items():
        for sentence in finding.left_out:
            yield Text(f"left out of {name}: {sentence}")


def answers(document: Document) -> Iterator[tuple[Finding, Answer]]:
    """Go through the answers on the fake, each with the finding that it belongs to."""
    for finding in document.judged.values():
        for answer in finding.answers.values():
            yield finding, answer


def _sign(verdict: Verdict) -> Text:
    return Text(f"{SIGNS[verdict]} {verdict}", style=_COLOURS[verdict])


def _quantity(finding: Finding, answer: Answer) -> Quantity | None:
    return None if answer.quantity is None else finding.quantities.get(answer.quantity)


def _verdict_and_number(finding: Finding | None, key: str, quantity: Quantity | None) -> Text:
    """Return one answer of a candidate with its value of the row's quantity, empty where it was not asked."""
    if finding is None or key not in finding.answers:
        return Text("")
    same = None if quantity is None else finding.quantities.get(quantity.key)
    value = "" if same is None else f" {number(same.fake.value)}"
    return Text.assemble(_sign(finding.answers[key].verdict), value)


def _cells(quantity: Quantity | None) -> list[str]:
    """Fake with its interval; floor and ceiling without, to keep the table narrow."""
    if quantity is None:
        return ["", "", ""]
    fake = quantity.fake
    return [
        interval_text(fake.value, fake.low, fake.high, unit=quantity.unit),
        *(
            "" if entry is None else interval_text(entry.value)
            for entry in (quantity.floor, quantity.ceiling)
        ),
    ]
