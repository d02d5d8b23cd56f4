"""The numbers of the runs' tests, and their mean and spread over the runs of an arm."""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryoalign.report.run_result import RunResult

MEASURES = {
    "RPSD_L1": "RPSD L1",
    "RPSD_excess": "RPSD excess",
    "RPSD_MSE": "RPSD MSE",
    "pixel_L1": "pixel L1",
    "pixel_MSE": "pixel MSE",
    "ring_correlation": "ring correlation",
}
"""What the tables hold of a test; the excess is RPSD L1 over that of another raw image."""

SHOWN = {key: name for key, name in MEASURES.items() if not key.endswith("MSE")}
"""What the page and the terminal show; the CSV files hold all."""

REFERENCES = {"sim_": "sim", "floor_": "other raw"}
"""Prefixes of what a test measures for comparison: sim as it is, and another raw image, the floor."""


class Spread(NamedTuple):
    """Mean and standard deviation over runs.

    Attributes
    ----------
    mean : float or None
        None where no run measured it.
    deviation : float or None
        That of a sample; None for a single run.
    """

    mean: float | None
    deviation: float | None


def spread(values: Iterable[float]) -> Spread:
    """Return mean and standard deviation of what was measured; NaN where a value is not finite."""
    known = list(values)
    if not known:
        return Spread(None, None)
    if not all(math.isfinite(value) for value in known):
        return Spread(math.nan, None)
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None)


def measured(run: RunResult, name: str) -> float | None:
    """Return a number of a run's test.

    Parameters
    ----------
    run : RunResult
    name : str
        A metric, with its prefix, or the excess.

    Returns
    -------
    float or None
        None where it was not measured.
    """
    if not name.endswith("RPSD_excess"):
        return run.metrics.get(name)
    above, below = (run.metrics.get(key) for key in (name.replace("excess", "L1"), "floor_RPSD_L1"))
    return above / below if above is not None and below else None


def measurements(arms: Mapping[str, Iterable[RunResult]]) -> pd.DataFrame:
    """Tabulate all that the tests measured.

    Parameters
    ----------
    arms : mapping of str to RunResult
        Runs of each arm, by its letter.

    Returns
    -------
    DataFrame
        ``arm``, ``of`` (``fake`` or a name of `REFERENCES`), ``measure`` and ``value``; a row a number.
    """
    kinds = {"": "fake"} | REFERENCES
    rows = [
        (letter, kind, name, value)
        for letter, runs in arms.items()
        for run in runs
        for prefix, kind in kinds.items()
        for name in MEASURES
        if (value := measured(run, prefix + name)) is not None
    ]
    return pd.DataFrame(rows, columns=["arm", "of", "measure", "value"])


def spreads(table: pd.DataFrame) -> dict[str, Spread]:
    """Return the spread of every measure over the rows of `measurements`, or of some of them."""
    found = {str(name): spread(values) for name, values in table.groupby("measure")["value"]}
    return {name: found.get(name, Spread(None, None)) for name in MEASURES}
