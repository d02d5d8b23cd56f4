"""What a measure says: quantities with intervals beside floor and ceiling, charts, and answers in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Answer to a question of the referee."""

    PASS = "pass"  # noqa: S105  a verdict
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % bootstrap interval.

    Attributes
    ----------
    value, low, high : float
        NaN where it cannot be told.
    """

    value: float
    low: float
    high: float


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
    bins : tuple of Interval or None
        The fake's value by defocus bin; empty where it is not told by bin.
    note : str
        What a reader should know.
    """

    key: str
    label: str
    fake: Interval
    floor: Interval | None = None
    ceiling: Interval | None = None
    unit: str = ""
    target: float | None = None
    bins: tuple[Interval | None, ...] = ()
    note: str = ""

    @property
    def worst_bin(self) -> int | None:
        """0-based number of the defocus bin furthest from what is perfect; None where all are alike."""
        perfect = self.target if self.target is not None else (self.floor.value if self.floor else None)
        if perfect is None:
            return None
        away = {
            place: abs(entry.value - perfect)
            for place, entry in enumerate(self.bins)
            if entry is not None and entry.value == entry.value  # not NaN
        }
        return max(away, key=away.__getitem__) if len(set(away.values())) > 1 else None


@dataclass(frozen=True)
class Answer:
    """A question, its verdict and one or two plain sentences with the numbers.

    Attributes
    ----------
    key : str
        Stable name, unique over all measures.
    question, words : str
    verdict : Verdict
    quantity : str
        Key of the measure's quantity that stands beside the answer in tables; chosen by
        `cryoalign.evaluate.document` where it is empty.
    """

    key: str
    question: str
    verdict: Verdict
    words: str
    quantity: str = ""


@dataclass(frozen=True)
class Series:
    """A curve, with a band where `low` and `high` are given.

    Attributes
    ----------
    x, y, low, high : tuple of float
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


RADIUS = "normalized radius u (fraction of Nyquist)"
"""Label of an x axis. Pages tell the resolution, too, where a label says that it is a fraction of Nyquist."""


@dataclass(frozen=True)
class Chart:
    """Curves to be drawn together.

    Attributes
    ----------
    key, title, x_label, y_label : str
    series : dict of str to Series
        ``fake``, ``raw``, ``sim``, ``truth`` and ``other raw`` have looks of their own.
    log_y : bool
    """

    key: str
    title: str
    x_label: str
    y_label: str
    series: dict[str, Series]
    log_y: bool = False


@dataclass(frozen=True)
class Finding:
    """All that one measure says of one set of images.

    Attributes
    ----------
    measure : str
    answers : tuple of Answer
    quantities : tuple of Quantity
    charts : tuple of Chart
    left_out : tuple of str
        What was left out of the measure, and why, a sentence each.
    """

    measure: str
    answers: tuple[Answer, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    charts: tuple[Chart, ...] = ()
    left_out: tuple[str, ...] = ()


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


def together(*verdicts: Verdict) -> Verdict:
    """Join the verdicts of several conditions: one that fails fails all, one undecided leaves all so."""
    for verdict in (Verdict.FAIL, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
