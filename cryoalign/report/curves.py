"""Curves of all arms in one chart: validation by step, and the spectra of what they made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.evaluate.finding import RADIUS, Chart, Series
from cryoalign.physics.spectrum import normalized_radius

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.report.arms import Arm, Comparison
    from cryoalign.report.run_result import History, RunResult

_BY_STEP = {
    "RPSD_L1": ("RPSD L1 in validation", "RPSD L1"),
    "pixel_L1": ("Pixel L1 in validation", "pixel L1 (grey values)"),
    "ring_correlation": ("Ring correlation of fake with sim in validation", "ring correlation"),
}
_LEVELS = {"sim": "sim_", "other raw": "floor_"}
_SAME = 0.01  # levels of two runs that differ by less are those of one validation set


def charts(comparison: Comparison) -> dict[str, Chart]:
    """Plan the charts of a comparison.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of str to Chart
        A line is the mean over an arm's runs, its band goes from the lowest to the highest. Sim and other raw
        are drawn where all runs agree on them.
    """
    plans: dict[str, Chart] = {}
    for name, (title, label) in _BY_STEP.items():
        series = _by_step(comparison, name)
        if any(len(curve.x) > 1 for curve in series.values()):
            levels = {
                kind: level
                for kind, prefix in _LEVELS.items()
                if (level := _level(comparison.runs, prefix + name))
            }
            plans[name] = Chart(name, title, "step (updates of the generator)", label, series | levels)
    return plans | _spectra(comparison)


def undrawn(comparison: Comparison) -> str:
    """Name the curves of the validation that are not drawn because they are single points.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Empty where all are drawn.
    """
    found = {title: _by_step(comparison, name).values() for name, (title, _) in _BY_STEP.items()}
    single = [
        title for title, curves in found.items() if curves and all(len(curve.x) == 1 for curve in curves)
    ]
    if not single:
        return ""
    return f"Not drawn, because every arm was validated at one step only: {'; '.join(single)}."


def _by_step(comparison: Comparison, name: str) -> dict[str, Series]:
    """Curve of each arm that has one."""
    return {
        comparison.label(arm): curve
        for arm in comparison.arms
        if (curve := _over_runs([run.curves[name] for run in arm.runs if name in run.curves]))
    }


def _over_runs(curves: Sequence[History]) -> Series | None:
    """Mean, lowest and highest of some curves at every step that any of them has."""
    if not curves:
        return None
    points = pd.concat([pd.Series(curve.value, index=curve.step) for curve in curves]).groupby(level=0)
    band = (points.min(), points.max()) if len(curves) > 1 else ((), ())
    return _series(points.mean().index, points.mean(), *band)


def _level(runs: Sequence[RunResult], name: str) -> Series | None:
    """Draw a level that does not depend on the generator, where the runs agree on it."""
    curves = [run.curves[name] for run in runs if name in run.curves]
    if len(curves) < len(runs):
        return None
    last = np.array([curve.value[-1] for curve in curves])
    if not np.ptp(last) <= _SAME * abs(last).max():
        return None
    ends = (min(curve.step[0] for curve in curves), max(curve.step[-1] for curve in curves))
    return _series(ends, (last.mean(), last.mean()))


def _spectra(comparison: Comparison) -> dict[str, Chart]:
    """Spectra of all arms' fakes with raw and sim, and minus raw; nothing where images are not alike."""
    kept = [run for run in comparison.runs if run.spectra]
    alike = {(run.box, run.pixel_size, run.images, run.config.get("loss.rpsd.norm")) for run in kept}
    if len(alike) != 1:
        return {}
    x = np.asarray(normalized_radius(kept[0].box), dtype=np.float64)
    raw, sim = (np.mean([run.spectra[kind] for run in kept], axis=0) for kind in ("raw", "sim"))
    arms = {comparison.label(arm): table for arm in comparison.arms if (table := _fakes(arm)) is not None}
    curves = {
        name: _series(x, table.mean(0), *((table.min(0), table.max(0)) if len(table) > 1 else ((), ())))
        for name, table in arms.items()
    }
    away = {name: _series(x, table.mean(0) - raw) for name, table in arms.items()}
    return {
        "spectra": Chart(
            "spectra",
            "Mean spectra of the test set",
            RADIUS,
            "s(u), mean of ln(1 + |F|²)",
            {"raw": _series(x, raw), "sim": _series(x, sim)} | curves,
        ),
        "minus_raw": Chart(
            "minus_raw",
            "The same, minus that of raw",
            RADIUS,
            "s(u) minus that of raw",
            {"raw": _series(x, np.zeros_like(raw))} | away,
        ),
    }


def _fakes(arm: Arm) -> NDArray[np.float64] | None:
    tables = [run.spectra["fake"] for run in arm.runs if run.spectra]
    return np.stack(tables) if tables else None


def _series(x: ArrayLike, y: ArrayLike, low: ArrayLike = (), high: ArrayLike = ()) -> Series:
    return Series(*(tuple(np.asarray(values, np.float64).tolist()) for values in (x, y, low, high)))
