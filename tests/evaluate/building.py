"""Answers, quantities and curves for findings that no measure made."""

from __future__ import annotations

import numpy as np

from cryoalign.evaluate.finding import Answer, Interval, Quantity, Series, Verdict, by_key
from tests.evaluate.example_questions import QUESTIONS


def answer(key: str, question: str, verdict: str, explanation: str, quantity: str | None = None) -> Answer:
    return Answer(key, question, Verdict(verdict), explanation, quantity)


def known(*keys: str) -> dict[str, Answer]:
    return by_key(answer(key, *QUESTIONS[key]) for key in keys)


def interval(value: float, half: float = 0.0) -> Interval:
    return Interval(value, value - half, value + half)


def quantity(
    key: str,
    label: str,
    fake: tuple[float, float],
    floor: tuple[float, float] | None = None,
    ceiling: tuple[float, float] | None = None,
    **more: object,
) -> Quantity:
    """Each number as its value and half the width of its interval."""
    references = [None if pair is None else interval(*pair) for pair in (floor, ceiling)]
    return Quantity(key, label, interval(*fake), *references, **more)  # type: ignore[arg-type]


def series(x: np.ndarray, y: np.ndarray, half: float | None = None) -> Series:
    band = () if half is None else (tuple(y - half), tuple(y + half))
    return Series(tuple(x), tuple(y), *band)
