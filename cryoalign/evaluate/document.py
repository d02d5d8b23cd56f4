"""What the referee found, as plain values: the content of ``evaluation.json``.

Its keys are documented in docs/evaluation.md, and everything that a reader sees (the table, the page, a
comparison of runs) is made of it, so that it can be made again from the file.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.evaluate.finding import Verdict
from cryoalign.io.output import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryoalign.evaluate.finding import Answer, Chart, Finding, Interval, Quantity

FORMAT = 1
"""Version of the keys: raised when one changes its meaning or goes, not when one is added."""

MAIN = "fake"
"""Name of the candidate that is judged; others stand beside it."""

FILE_NAME = "evaluation.json"

_CHART_DIGITS = 6
_TABLE = "names and values"
_QUANTITY = {"label", "unit", "fake", "target"}  # what a quantity is shown by


def to_document(candidates: Mapping[str, Sequence[Finding]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Put findings into plain values.

    Parameters
    ----------
    candidates : mapping of str to sequence of Finding
        ``fake`` is the one that is judged; others, such as baselines, stand beside it.
    facts : mapping
        What was judged and how; see docs/evaluation.md. Paths, tuples and NumPy's numbers become plain
        values.

    Returns
    -------
    dict
        For `json`; what is not a finite number is None.

    Raises
    ------
    ValueError
        If there is no ``fake``.
    """
    if MAIN not in candidates:
        raise ValueError(f"candidates must hold {MAIN!r}; got {sorted(candidates)}")
    measures = {
        name: {finding.measure: _measure(finding) for finding in findings}
        for name, findings in candidates.items()
    }
    return {
        "format": FORMAT,
        "facts": plain(facts),
        "candidates": {name: {"measures": found} for name, found in measures.items()},
    }


def plain(value: Any) -> Any:
    """Turn a value into what JSON holds.

    Parameters
    ----------
    value : object
        Mappings, sequences, arrays, paths, numbers and text, nested at will.

    Returns
    -------
    object
        Dicts, lists, strings, whole numbers, finite floats, booleans and None; of anything else its text.
    """
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``evaluation.json``.

    Parameters
    ----------
    path : Path
    document : mapping
        As `to_document` makes it.
    """
    with atomic_write(path) as place:
        place.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_document(path: str | Path) -> dict[str, Any]:
    """Read ``evaluation.json``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    path = Path(path)
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "this evaluation cannot be read",
            file=path,
            found=getattr(error, "strerror", None) or str(error),
            remedy="evaluate again",
        ) from error
    known = isinstance(document, dict) and document.get("format") == FORMAT
    candidates = document.get("candidates") if known else None
    if not isinstance(candidates, dict) or MAIN not in candidates:
        raise InputError(
            "this is not an evaluation of this version of cryoalign",
            file=path,
            expected=f"format {FORMAT}, and a candidate {MAIN!r}",
            found=f"format {document.get('format')}, candidates {_kind(document.get('candidates'))}"
            if isinstance(document, dict)
            else _kind(document),
            remedy="evaluate again",
        )
    wrong = _first_wrong(document)
    if wrong is not None:
        place, expected = wrong
        raise InputError(
            "this evaluation cannot be read",
            file=path,
            expected=f"{expected} under {place!r}",
            found="something else, or nothing",
            remedy="evaluate again",
        )
    return document


def _kind(value: Any) -> str:
    """Describe a value without showing all of it."""
    return ", ".join(map(str, value)) or "none" if isinstance(value, dict) else type(value).__name__


def _first_wrong(document: dict[str, Any]) -> tuple[str, str] | None:
    """First place whose content is not what the readers use, and what should be there."""
    candidates = document["candidates"]
    for name, entry in {"facts": document.get("facts"), **candidates}.items():
        if not isinstance(entry, dict):
            return name, _TABLE
    for name, candidate in candidates.items():
        measures = candidate.get("measures")
        if not isinstance(measures, dict):
            return f"{name}.measures", _TABLE
        for measure, content in measures.items():
            wrong = _wrong_in_measure(content)
            if wrong is not None:
                return f"{name}.measures.{measure}{wrong[0]}", wrong[1]
    return None


def _wrong_in_measure(content: Any) -> tuple[str, str] | None:
    if not isinstance(content, dict):
        return "", _TABLE
    for kind in ("answers", "quantities", "charts"):
        found = content.get(kind)
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            return f".{kind}", f"{_TABLE} of {_TABLE}"
    if not isinstance(content.get("left_out"), list):
        return ".left_out", "a list"
    for key, answer in content["answers"].items():
        if answer.get("verdict") not in list(Verdict) or not isinstance(answer.get("question"), str):
            return f".answers.{key}", "a question and a verdict"
    for key, quantity in content["quantities"].items():
        if not quantity.keys() >= _QUANTITY or not _is_interval(quantity["fake"]):
            return f".quantities.{key}", f"{', '.join(sorted(_QUANTITY))}, numbers in 'fake'"
    return None


def _is_interval(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    values = [entry.get(part, "") for part in ("value", "low", "high")]
    return all(value is None or isinstance(value, int | float) for value in values)


def _measure(finding: Finding) -> dict[str, Any]:
    return {
        "answers": {
            answer.key: _answer(answer, finding, first=place == 0)
            for place, answer in enumerate(finding.answers)
        },
        "quantities": {quantity.key: _quantity(quantity) for quantity in finding.quantities},
        "charts": {chart.key: _chart(chart) for chart in finding.charts},
        "left_out": list(finding.left_out),
    }


def _answer(answer: Answer, finding: Finding, *, first: bool) -> dict[str, Any]:
    return {
        "question": answer.question,
        "verdict": str(answer.verdict),
        "words": answer.words,
        "quantity": _beside(answer, finding, first=first),
    }


def _beside(answer: Answer, finding: Finding, *, first: bool) -> str | None:
    """Which quantity stands beside an answer: the one it names, its namesake, or the measure's first."""
    keys = [quantity.key for quantity in finding.quantities]
    for key in (answer.quantity, answer.key):
        if key in keys:
            return key
    judged = [quantity.key for quantity in finding.quantities if quantity.target is not None]
    return next(iter([*judged, *keys]), None) if first else None


def _quantity(quantity: Quantity) -> dict[str, Any]:
    return {
        "label": quantity.label,
        "unit": quantity.unit,
        "fake": _interval(quantity.fake),
        "floor": _interval(quantity.floor),
        "ceiling": _interval(quantity.ceiling),
        "target": plain(quantity.target),
        "bins": [_interval(entry) for entry in quantity.bins],
        "worst_bin": quantity.worst_bin,
        "note": quantity.note,
    }


def _interval(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {name: plain(float(getattr(interval, name))) for name in ("value", "low", "high")}


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "x_label": chart.x_label,
        "y_label": chart.y_label,
        "log_y": chart.log_y,
        "series": {
            name: {part: _rounded(getattr(series, part)) for part in ("x", "y", "low", "high")}
            for name, series in chart.series.items()
        },
    }


def _rounded(values: Sequence[float]) -> list[float | None]:
    """Digits that no chart shows would be most of the file."""
    return [plain(float(f"{value:.{_CHART_DIGITS}g}")) for value in values]
