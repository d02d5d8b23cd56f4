"""What the evaluations of the runs found, arm by arm, and from which part and settings each comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cryoalign.evaluate.finding import Verdict
from cryoalign.evaluate.rendering import labelled
from cryoalign.report.measures import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.report.arms import Arm, Comparison
    from cryoalign.report.run_result import RunResult

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

_ORDER = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS)
_PAST = {Verdict.FAIL: "failed", Verdict.UNDECIDED: "undecided", Verdict.PASS: "passed"}


@dataclass(frozen=True)
class VerdictRow:
    """How many runs of each arm got which answer to a question.

    Attributes
    ----------
    question : str
    cells : tuple of dict of Verdict to int, or None
        For each arm; None for one that was not evaluated.
    """

    question: str
    cells: tuple[dict[Verdict, int] | None, ...]


@dataclass(frozen=True)
class QuantityRow:
    """Mean and spread of one quantity over the runs of each evaluated arm.

    Attributes
    ----------
    measure, label : str
        The label with its unit.
    target : float or None
        What is perfect, where all evaluations agree on it.
    cells : tuple of Spread
    """

    measure: str
    label: str
    target: float | None
    cells: tuple[Spread, ...]


@dataclass(frozen=True)
class SourceRow:
    """Where the verdicts of a run come from.

    Attributes
    ----------
    arm, run, made : str
        Letter, folder, and when it was evaluated.
    cells : tuple of str, or None
        In the order of `SETTINGS`; None for a run that was not evaluated.
    """

    arm: str
    run: str
    made: str
    cells: tuple[str, ...] | None


def verdict_rows(comparison: Comparison) -> list[VerdictRow]:
    """Count the verdicts of each arm's evaluations.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of VerdictRow
        A row a question; none where no run was evaluated.
    """
    rows = []
    for key, answers in _answers(comparison).groupby(["measure", "key", "question"], sort=False):
        verdicts = answers.groupby("arm")["verdict"]
        counts = {str(letter): Counter(found) for letter, found in verdicts}
        cells = (
            {verdict: count for verdict in _ORDER if (count := counts.get(arm.letter, Counter())[verdict])}
            if evaluated(arm)
            else None
            for arm in comparison.arms
        )
        rows.append(VerdictRow(str(key[2]), tuple(cells)))
    return rows


def quantity_rows(comparison: Comparison) -> list[QuantityRow]:
    """Return mean and spread of what the evaluations measured.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of QuantityRow
        Evaluations share a row only where they give a quantity the same key, label and unit.
    """
    rows = []
    letters = [arm.letter for arm in comparison.arms if evaluated(arm)]
    for key, found in _quantities(comparison).groupby(["measure", "key", "label"], sort=False):
        by_arm = found.groupby("arm")["value"]
        values = {str(letter): spread(column.dropna()) for letter, column in by_arm}
        targets = set(found["target"])
        rows.append(
            QuantityRow(
                str(key[0]),
                str(key[2]),
                targets.pop() if len(targets) == 1 else None,
                tuple(values.get(letter, Spread(None, None)) for letter in letters),
            )
        )
    return rows


def source_rows(comparison: Comparison) -> list[SourceRow]:
    """Describe for every run of which part, and with which settings, its verdicts are.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of SourceRow
        Empty where no run was evaluated.
    """
    if not any(evaluated(arm) for arm in comparison.arms):
        return []
    return [
        SourceRow(
            arm.letter,
            str(run.folder),
            "" if run.evaluation is None else run.evaluation.facts.created or "",
            None if run.evaluation is None else tuple(_setting(run, key) for key in SETTINGS),
        )
        for arm in comparison.arms
        for run in arm.runs
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
    for key, difference in {
        "part": "are of different parts of the split",
        "checkpoint": "are of different checkpoints",
        "draws": "have different numbers of bootstrap draws",
    }.items():
        values = {_setting(run, key) for run in runs}
        if len(values) > 1:
            yield f"The evaluations {difference}: {', '.join(sorted(values))}."


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
    answers = _answers(comparison)
    if not any(evaluated(arm) for arm in comparison.arms):
        return []
    return [
        f"{comparison.label(arm)}: {_tally(arm, answers[answers['arm'] == arm.letter])}"
        for arm in comparison.arms
    ]


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


def _tally(arm: Arm, answers: pd.DataFrame) -> str:
    runs = evaluated(arm)
    if not runs:
        return f"{NOT_EVALUATED}."
    count = Counter(answers["verdict"])
    failed = Counter(answers.loc[answers["verdict"] == Verdict.FAIL, "question"])
    parts = sorted({_setting(run, "part") for run in runs})
    over = "1 evaluation" if len(runs) == 1 else f"{len(runs)} evaluations"
    counts = ", ".join(f"{count[verdict]} {_PAST[verdict]}" for verdict in _ORDER)
    sentence = f"{counts} in {over} (part: {', '.join(parts)})."
    names = " ".join(
        f"{question} ({times} times)" if times > 1 else str(question) for question, times in failed.items()
    )
    return f"{sentence} Failed: {names}" if names else sentence


def _answers(comparison: Comparison) -> pd.DataFrame:
    """Every answer of every evaluation, a row each."""
    rows = [
        (arm.letter, measure, answer.key, answer.question, answer.verdict)
        for arm in comparison.arms
        for run in arm.runs
        if run.evaluation is not None
        for measure, finding in run.evaluation.judged.items()
        for answer in finding.answers.values()
    ]
    return pd.DataFrame(rows, columns=["arm", "measure", "key", "question", "verdict"], dtype=object)


def _quantities(comparison: Comparison) -> pd.DataFrame:
    """Every quantity of every evaluation, a row each."""
    rows = [
        (arm.letter, measure, quantity.key, labelled(quantity), quantity.target, quantity.fake.value)
        for arm in comparison.arms
        for run in arm.runs
        if run.evaluation is not None
        for measure, finding in run.evaluation.judged.items()
        for quantity in finding.quantities.values()
    ]
    columns = ["arm", "measure", "key", "label", "target", "value"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _setting(run: RunResult, key: str) -> str:
    value = None if run.evaluation is None else getattr(run.evaluation.facts, key)
    return "not known" if value is None else str(value)
