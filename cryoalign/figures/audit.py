"""Pairs under suspicion: the correlation that every hypothesis reaches, with its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryoalign.figures.style import BLUE, GREY, INK, VERMILION, readable_ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# Filled and open markers tell the first two apart in print.
_GIVEN, _OTHER, _BEST = BLUE, GREY, VERMILION
_ROW = 0.19  # inch


def audit_figure(
    names: Sequence[str],
    means: ArrayLike,
    errors: ArrayLike,
    *,
    scans: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    bands: tuple[ArrayLike, ArrayLike, ArrayLike],
    title: str | None = None,
    dpi: float = 150.0,
) -> Figure:
    """Draw hypotheses as points with error bars, scans as curves, and the pairs as given by frequency.

    Parameters
    ----------
    names : sequence of str
        Hypotheses, the pairs as given first.
    means, errors : (n,) array_like
        Mean correlation of each and its standard error; bars are two of them long on either side.
    scans : mapping of str to (values, means, errors)
        Families with a factor, 1 being the pairs as given; each becomes a panel.
    bands : (edges, means, errors)
        Edges of the frequency bands in 1/A, one more than the mean correlations of the pairs as given.
    title : str, optional
        The verdict.
    dpi : float
        Pixels per inch.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.

    Raises
    ------
    ValueError
        If the lengths do not fit together, or there is no hypothesis.
    """
    centre, spread = np.asarray(means, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if len(names) == 0 or not len(names) == len(centre) == len(spread):
        raise ValueError(f"{len(names)} names, {len(centre)} means, {len(spread)} errors")
    edges, heights, bars = (np.asarray(values, dtype=np.float64) for values in bands)
    if not len(edges) == len(heights) + 1 == len(bars) + 1:
        raise ValueError(f"{len(edges)} edges for {len(heights)} bands")
    panels = 1 + len(scans)
    height = max(_ROW * len(names) + 1.0, 1.45 * panels + 0.6)
    figure = Figure(figsize=(7.6, height), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(panels, 2, width_ratios=[1.25, 1.0])
    _column(figure.add_subplot(grid[:, 0]), names, centre, spread)
    _bands(figure.add_subplot(grid[0, 1]), edges, heights, bars)
    for row, (name, scan) in enumerate(scans.items(), start=1):
        _scan(figure.add_subplot(grid[row, 1]), name, scan, (float(centre[0]), float(spread[0])))
    figure.align_ylabels(figure.axes[1:])
    if title:
        figure.suptitle(title, fontsize=9, color=INK, wrap=True)
    return figure


def _column(axes: Axes, names: Sequence[str], means: np.ndarray, errors: np.ndarray) -> None:
    place = np.arange(len(names))
    best = int(means.argmax())
    axes.axvline(0.0, color=_OTHER, linewidth=0.6)
    axes.axvline(means[0], color=_GIVEN, linewidth=0.8, linestyle=(0, (4, 1.5)))
    for row in place:
        colour = _GIVEN if row == 0 else _BEST if row == best else _OTHER
        axes.errorbar(
            means[row], row, xerr=2 * errors[row], fmt="o" if row in {0, best} else "s", markersize=4,
            color=colour,
            markerfacecolor=colour if row in {0, best} else "white", elinewidth=1.0,
        )  # fmt: skip
    axes.set_yticks(place, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("mean correlation with raw ± 2 standard errors", fontsize=8, color=INK)
    _dress(axes)


def _bands(axes: Axes, edges: np.ndarray, means: np.ndarray, errors: np.ndarray) -> None:
    centre = (edges[1:] + edges[:-1]) / 2
    axes.stairs(means, edges, color=_GIVEN, linewidth=1.4)
    axes.errorbar(centre, means, yerr=2 * errors, fmt="none", ecolor=_GIVEN, elinewidth=1.0)
    axes.axhline(0.0, color=_OTHER, linewidth=0.6)
    axes.set_xlabel("spatial frequency (1/Å)", fontsize=8, color=INK)
    axes.set_ylabel("as given", fontsize=8, color=INK)
    _dress(axes)


def _scan(
    axes: Axes, name: str, scan: tuple[ArrayLike, ArrayLike, ArrayLike], given: tuple[float, float]
) -> None:
    values, means, errors = (
        np.append(np.asarray(column, dtype=np.float64), unscaled)
        for column, unscaled in zip(scan, (1.0, *given), strict=True)
    )
    order = np.argsort(values)
    axes.errorbar(
        values[order], means[order], yerr=2 * errors[order], color=_OTHER, marker="s", markersize=3,
        markerfacecolor="white",
        linewidth=0.9, elinewidth=0.8,
    )  # fmt: skip
    axes.plot(1.0, given[0], "o", markersize=5, color=_GIVEN, zorder=3)  # above the open marker of the scan
    axes.axhline(0.0, color=_OTHER, linewidth=0.6)
    axes.set_xlabel(f"factor on the {name}", fontsize=8, color=INK)
    axes.set_ylabel("correlation", fontsize=8, color=INK)
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.tick_params(labelsize=7, colors=INK, length=3)
    axes.spines[["right", "top"]].set_visible(False)
    readable_ticks(axes)
