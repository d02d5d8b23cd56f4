"""What a measure finds: quantities with intervals, floors and ceilings, charts, and answers to questions.

These types are what the measures make, what ``evaluation.json`` holds and what the pages show. They check
what they are made of, so that a file that was read is as good as a finding that was made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Annotated, Protocol, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, computed_field
from pydantic.dataclasses import dataclass

_CHART_DIGITS = 6  # more would be most of the file, and no chart shows them


def _from_null(value: object) -> object:
    return math.nan if value is None else value


def _one_nan(value: float) -> float:
    """Return the one `math.nan` for every NaN, so that equal findings compare as equal."""
    return math.nan if math.isnan(value) else value


def _to_null(value: float) -> float | None:
    if math.isinf(value):
        raise ValueError("an infinite number cannot be written: JSON has none")
    return None if math.isnan(value) else value


def _rounded(value: float) -> float:
    return float(f"{value:.{_CHART_DIGITS}g}") if math.isfinite(value) else value


Number = Annotated[
    float,
    Strict(),
    BeforeValidator(_from_null),
    AfterValidator(_one_nan),
    PlainSerializer(_to_null, return_type=float | None),
]
"""A number; NaN, for one that is not known, is null in JSON, and infinity is refused there."""

Point = Annotated[Number, AfterValidator(_rounded)]
"""A number of a chart, rounded to six digits."""


def _keys_into_entries(table: object) -> object:
    """Put the keys of a table that was read into its entries, where they belong in memory."""
    if not isinstance(table, Mapping):
        return table
    return {key: {**entry, "key": key} if isinstance(entry, dict) else entry for key, entry in table.items()}


_Key = Annotated[str, Field(exclude=True)]  # stands before the entry in JSON
_INTO_ENTRIES = BeforeValidator(_keys_into_entries)


class Verdict(StrEnum):
    """Answer to a question of the referee."""

    PASS = "pass"  # noqa: S105  a verdict
    FAIL = "fail"
    UNDECIDED = "undecided"
    NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % bootstrap interval.

    Attributes
    ----------
    value, low, high : float
        NaN where it is not known.
    """

    value: Number
    low: Number
    high: Number


@dataclass(frozen=True)
class Quantity:
    """One number of a measure, and what is needed to read it.

    Attributes
    ----------
    key : str
        Stable name, unique within the measure.
    label : str
        For tables.
    fake : Interval
        Of the images that are judged.
    floor : Interval, optional
        What a measurement gives: another raw image in place of the fake, or raw's own value.
    ceiling : Interval, optional
        Of sim as it is.
    unit : str
        Empty for plain numbers.
    target : float, optional
        What is perfect; the floor's value where there is none.
    lower_is_better : bool
        Whether a value below what is perfect is no fault.
    bins : tuple of Interval or None
        The fake's value by defocus bin; empty where it is not measured by bin.
    note : str
        What a reader should know.
    """

    key: _Key
    label: str
    fake: Interval
    floor: Interval | None = None
    ceiling: Interval | None = None
    unit: str = ""
    target: float | None = None
    lower_is_better: bool = False
    bins: tuple[Interval | None, ...] = ()
    note: str = ""

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def worst_bin(self) -> int | None:
        """0-based number of the defocus bin with the largest fault; None where none is worse than the floor.

        A fault is the distance from what is perfect, where lower is better only of larger values.
        """
        perfect = self.target if self.target is not None else (self.floor.value if self.floor else None)
        if perfect is None:
            return None

        def fault(value: float) -> float:
            return value - perfect if self.lower_is_better else abs(value - perfect)

        faults = {
            place: fault(entry.value)
            for place, entry in enumerate(self.bins)
            if entry is not None and not math.isnan(entry.value)
        }
        if len(set(faults.values())) < 2:
            return None
        worst = max(faults, key=faults.__getitem__)
        of_floor = 0.0 if self.floor is None or math.isnan(self.floor.value) else fault(self.floor.value)
        return worst if faults[worst] > max(of_floor, 0.0) else None


@dataclass(frozen=True)
class Answer:
    """A question, its verdict and one or two plain sentences with the numbers.

    Attributes
    ----------
    key : str
        Stable name, unique over all measures.
    question, explanation : str
    verdict : Verdict
    quantity : str, optional
        Key of the measure's quantity that tables show with the answer.
    """

    key: _Key
    question: str
    verdict: Verdict
    explanation: str
    quantity: str | None = None


def not_asked(key: str, question: str, reason: str) -> Answer:
    """Answer a question that cannot be asked of these images with the reason.

    Parameters
    ----------
    key, question : str
        As where it is asked.
    reason : str
        A sentence.

    Returns
    -------
    Answer
    """
    return Answer(key, question, Verdict.NOT_ASKED, reason)


@dataclass(frozen=True)
class Series:
    """A curve, with a band where `low` and `high` are given.

    Attributes
    ----------
    x, y, low, high : tuple of float
    """

    x: tuple[Point, ...]
    y: tuple[Point, ...]
    low: tuple[Point, ...] = ()
    high: tuple[Point, ...] = ()


RADIUS = "normalized radius u (fraction of Nyquist)"
"""Label of an x axis. Pages add the resolution where a label says that it is a fraction of Nyquist."""


@dataclass(frozen=True)
class Chart:
    """Curves to be drawn in one pair of axes.

    Attributes
    ----------
    key, title, x_label, y_label : str
    log_y : bool
    series : dict of str to Series
        ``fake``, ``raw``, ``sim``, ``truth`` and ``other raw`` have looks of their own.
    """

    key: _Key
    title: str
    x_label: str
    y_label: str
    series: dict[str, Series]
    log_y: bool = False


@dataclass(frozen=True)
class Finding:
    """All that one measure finds in one set of images.

    Attributes
    ----------
    measure : str
    answers : dict of str to Answer
    quantities : dict of str to Quantity
    charts : dict of str to Chart
        By their keys, see `by_key`.
    left_out : tuple of str
        What was left out of the measure, and why, a sentence each.
    """

    measure: _Key
    answers: Annotated[dict[str, Answer], _INTO_ENTRIES] = field(default_factory=dict)
    quantities: Annotated[dict[str, Quantity], _INTO_ENTRIES] = field(default_factory=dict)
    charts: Annotated[dict[str, Chart], _INTO_ENTRIES] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Keyed)


def by_key(entries: Iterable[_Entry]) -> dict[str, _Entry]:
    """Make a table of answers, quantities or charts, as a finding holds them."""
    table: dict[str, _Entry] = {}
    for entry in entries:
        if entry.key in table:
            raise ValueError(f"two entries have the key {entry.key!r}")
        table[entry.key] = entry
    return table


def decide(value: Interval, limit: float, *, above: bool = True) -> Verdict:
    """Hold a value against a limit.

    Parameters
    ----------
    value : Interval
    limit : float
    above : bool
        Beyond the limit means above it, or below it.

    Returns
    -------
    Verdict
        Fail if the whole interval lies beyond the limit, pass if the value itself is within it, else
        undecided; undecided, too, for a value that is not a number.
    """
    inner, middle = (value.low, value.value) if above else (-value.high, -value.value)
    border = limit if above else -limit
    if inner > border:
        return Verdict.FAIL
    return Verdict.PASS if middle <= border else Verdict.UNDECIDED


def within(value: Interval, limits: tuple[float, float]) -> Verdict:
    """Hold a value against a lower and an upper limit.

    Parameters
    ----------
    value : Interval
    limits : (float, float)

    Returns
    -------
    Verdict
    """
    return together(decide(value, limits[0], above=False), decide(value, limits[1]))


def reachable(reached: float | None) -> tuple[float, float]:
    """Return what is perfect of a ratio to raw: 1, and all between 1 and what real noise reaches.

    Parameters
    ----------
    reached : float or None
        The ratio of real noise; None where that is not known.

    Returns
    -------
    least, most : float
        Both 1 where nothing above 0 is known to be reached.
    """
    if reached is None or not reached > 0:
        return 1.0, 1.0
    return min(1.0, reached), max(1.0, reached)


def together(*verdicts: Verdict) -> Verdict:
    """Join the verdicts of several conditions: one that fails fails all, one undecided leaves all so."""
    for verdict in (Verdict.FAIL, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
