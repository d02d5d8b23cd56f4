"""What the referee found, in the terminal: a line a question, then the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cryoalign.evaluate.digits import interval_text, number
from cryoalign.evaluate.document import MAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIGNS = {"pass": "\N{CHECK MARK}", "fail": "\N{BALLOT X}", "undecided": "?"}
"""What stands before the word of a verdict, so that colour tells nothing alone."""

_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
_CAPTION = (
    "fake with its 95 % interval; floor: a real measurement in its place; ceiling: sim as it is. "
    "A question without a number has it in its words."
)


def verdict_table(document: Mapping[str, Any], title: str) -> Table:
    """Lay out the verdicts on the fake, each with the number that stands beside it.

    Parameters
    ----------
    document : mapping
        As `cryoalign.evaluate.document.to_document` makes it.
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
    for measure in document["candidates"][MAIN]["measures"].values():
        for answer in measure["answers"].values():
            cells = _cells(measure["quantities"].get(answer["quantity"]))
            table.add_row(Text(answer["question"]), _sign(answer["verdict"]), *cells)
    return table


def baseline_table(document: Mapping[str, Any], title: str) -> Table | None:
    """Lay out the verdicts of all candidates beside each other, each with its number.

    Questions that only the fake was asked are left out.

    Parameters
    ----------
    document : mapping
        As `cryoalign.evaluate.document.to_document` makes it.
    title : str

    Returns
    -------
    rich.table.Table or None
        None where the fake is the only candidate.
    """
    candidates = document["candidates"]
    if len(candidates) < 2:
        return None
    table = Table(title=title)
    table.add_column("question", ratio=3)
    for name in candidates:
        table.add_column(name, no_wrap=True)
    for measure, key, answer in answers(document):
        found = [candidate["measures"].get(measure, {}) for candidate in candidates.values()]
        row = [_verdict_and_number(judged, key) for judged in found]
        if sum(bool(cell) for cell in row) > 1:
            table.add_row(Text(answer["question"]), *row)
    return table


def verdict_words(document: Mapping[str, Any]) -> Iterator[Text]:
    """Return the answers to all questions in words, then what was left out.

    Parameters
    ----------
    document : mapping
        As `cryoalign.evaluate.document.to_document` makes it.

    Yields
    ------
    rich.text.Text
        A line each.
    """
    for _, _, answer in answers(document):
        yield Text.assemble(_sign(answer["verdict"]), ": ", answer["words"])
    for name, measure in document["candidates"][MAIN]["measures"].items():
        for sentence in measure["left_out"]:
            yield Text(f"left out of {name}: {sentence}")


def answers(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through the answers on the fake.

    Parameters
    ----------
    document : mapping
        As `cryoalign.evaluate.document.to_document` makes it.

    Yields
    ------
    measure, key : str
    answer : dict
    """
    for name, measure in document["candidates"][MAIN]["measures"].items():
        for key, answer in measure["answers"].items():
            yield name, key, answer


def _sign(verdict: str) -> Text:
    return Text(f"{SIGNS[verdict]} {verdict}", style=_COLOURS[verdict])


def _verdict_and_number(measure: Mapping[str, Any], key: str) -> Text:
    """Return one answer of a measure, empty where it was not asked."""
    answer = measure.get("answers", {}).get(key)
    if answer is None:
        return Text("")
    quantity = measure["quantities"].get(answer["quantity"])
    value = None if quantity is None else quantity["fake"]["value"]
    return Text.assemble(_sign(answer["verdict"]), "" if value is None else f" {number(value)}")


def _cells(quantity: Mapping[str, Any] | None) -> list[str]:
    """Fake with its interval; floor and ceiling without, to keep the table narrow."""
    if quantity is None:
        return ["", "", ""]
    fake, floor, ceiling = (quantity[column] for column in ("fake", "floor", "ceiling"))
    return [
        interval_text(**fake, unit=quantity["unit"]),
        *("" if entry is None else interval_text(entry["value"]) for entry in (floor, ceiling)),
    ]
