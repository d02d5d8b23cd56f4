"""What the evaluations of the runs found, arm by arm, and from which part and settings each comes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cryoalign.evaluate.finding import Verdict
from cryoalign.evaluate.terminal import answers
from cryoalign.report.arms import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.evaluate.finding import Answer, Finding, Quantity
    from cryoalign.report.arms import Arm, Comparison
    from cryoalign.report.run_result import RunResult

Plain = dict[str, Any]

NOT_EVALUATED = "not evaluated"

SETTINGS = {
    "part": "part",
    "checkpoint": "checkpoint",
    "pairs": "pairs",
    "units": "resampled units",
    "draws": "draws",
    "seed": "seed",
}
"""Facts of an evaluation on which its verdicts depend, and their names."""

_WORDS = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS)
_PAST = {Verdict.FAIL: "failed", Verdict.UNDECIDED: "undecided", Verdict.PASS: "passed"}


def verdict_rows(comparison: Comparison) -> list[Plain]:
    """Count the verdicts of each arm's evaluations.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``question`` and ``cells``, for each arm how many of its runs got which verdict, None for an arm that
        was not evaluated; no row where no run was evaluated.
    """
    questions: dict[tuple[str, str], str] = {}
    for arm in comparison.arms:
        for finding, answer in _answers(arm):
            questions.setdefault((finding.measure, answer.key), answer.question)
    rows = []
    for (measure, key), question in questions.items():
        cells = []
        for arm in comparison.arms:
            found = (_measures(run).get(measure) for run in evaluated(arm))
            count = Counter(
                finding.answers[key].verdict for finding in found if finding and key in finding.answers
            )
            cells.append({word: count[word] for word in _WORDS if count[word]} if evaluated(arm) else None)
        rows.append({"question": question, "cells": cells})
    return rows


def quantity_rows(comparison: Comparison) -> list[Plain]:
    """Return mean and spread of what the evaluations measured.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``measure``, ``quantity`` (that of the first evaluation that has it) and ``cells``, mean and deviation
        by evaluated arm.
    """
    arms = [arm for arm in comparison.arms if evaluated(arm)]
    first: dict[tuple[str, str], Quantity] = {}
    for arm in arms:
        for run in evaluated(arm):
            for measure, finding in _measures(run).items():
                for key, quantity in finding.quantities.items():
                    first.setdefault((measure, key), quantity)
    return [
        {
            "measure": measure,
            "quantity": quantity,
            "cells": [
                spread(
                    [
                        of_run.quantities[key].fake.value
                        for run in evaluated(arm)
                        if (of_run := _measures(run).get(measure)) and key in of_run.quantities
                    ]
                )
                for arm in arms
            ],
        }
        for (measure, key), quantity in first.items()
    ]


def source_rows(comparison: Comparison) -> list[Plain]:
    """Describe for every run of which part, and with which settings, its verdicts are.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of dict
        ``arm``, ``run``, ``made`` and ``cells``, the settings in the order of `SETTINGS`; ``cells`` is None
        for a run that was not evaluated. No row where no run was.
    """
    runs = [(arm.letter, run) for arm in comparison.arms for run in arm.runs]
    if all(run.evaluation is None for _, run in runs):
        return []
    return [
        {
            "arm": letter,
            "run": str(run.folder),
            "made": (run.evaluation and run.evaluation.facts.created) or "",
            "cells": None if run.evaluation is None else [_setting(run, key) for key in SETTINGS],
        }
        for letter, run in runs
    ]


def setting_notes(comparison: Comparison) -> Iterator[str]:
    """Name the settings in which the evaluations are not alike.

    Parameters
    ----------
    comparison : Comparison

    Yields
    ------
    str
        A sentence.
    """
    runs = [run for arm in comparison.arms for run in evaluated(arm)]
    for key, words in {
        "part": "are of different parts of the split",
        "checkpoint": "are of different checkpoints",
        "draws": "have different numbers of bootstrap draws",
    }.items():
        values = {_setting(run, key) for run in runs}
        if len(values) > 1:
            yield f"The evaluations {words}: {', '.join(sorted(values))}."


def tallies(comparison: Comparison) -> list[str]:
    """Describe for each arm how many questions failed, which, and how many are undecided or passed.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of str
        A sentence an arm; empty where no run was evaluated.
    """
    if not any(evaluated(arm) for arm in comparison.arms):
        return []
    return [f"{comparison.label(arm)}: {_tally(arm)}" for arm in comparison.arms]


def evaluated(arm: Arm) -> list[RunResult]:
    """Return the runs of an arm that were evaluated.

    Parameters
    ----------
    arm : Arm

    Returns
    -------
    list of RunResult
    """
    return [run for run in arm.runs if run.evaluation is not None]


def _tally(arm: Arm) -> str:
    runs = evaluated(arm)
    if not runs:
        return f"{NOT_EVALUATED}."
    given = [answer for _, answer in _answers(arm)]
    count = Counter(answer.verdict for answer in given)
    failed = Counter(answer.question for answer in given if answer.verdict is Verdict.FAIL)
    parts = sorted({_setting(run, "part") for run in runs})
    over = "1 evaluation" if len(runs) == 1 else f"{len(runs)} evaluations"
    words = ", ".join(f"{count[word]} {_PAST[word]}" for word in _WORDS)
    counted = f"{words} in {over} (part: {', '.join(parts)})."
    several = {question: f" ({times} times)" if times > 1 else "" for question, times in failed.items()}
    names = " ".join(f"{question}{several[question]}" for question in failed)
    return f"{counted} Failed: {names}" if names else counted


def _answers(arm: Arm) -> Iterator[tuple[Finding, Answer]]:
    for run in evaluated(arm):
        if run.evaluation is not None:
            yield from answers(run.evaluation)


def _setting(run: RunResult, key: str) -> str:
    value = None if run.evaluation is None else getattr(run.evaluation.facts, key)
    return "not told" if value is None else str(value)


def _measures(run: RunResult) -> dict[str, Finding]:
    return {} if run.evaluation is None else run.evaluation.judged
