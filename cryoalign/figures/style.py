"""Colours, line styles and axes that all curves share: a kind of image looks the same in every figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, LogFormatterMathtext, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

#: Colour, line style and line width of a curve.
Look = tuple[str, "str | tuple[int, tuple[float, ...]]", float]

INK = "#222222"
# Okabe and Ito's palette, safe for colour-blind readers, and a grey.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#555555"

#: Looks of the kinds that every figure knows; the others get spare ones, in their order. The line styles tell
#: the curves apart in print. The measurement is broad and lies below, so that a fake that meets it is still
#: seen on it.
LOOKS: dict[str, Look] = {
    "sim": (BLUE, (0, (4, 1.5)), 1.6),
    "fake": (VERMILION, "solid", 1.3),
    "raw": (GREY, "solid", 3.0),
    "other raw": (GREY, (0, (1.2, 1.2)), 1.9),
    "truth": ("#000000", (0, (6, 1.2, 1.2, 1.2, 1.2, 1.2)), 1.1),
}

_SPARE = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "dashdot",
    "solid",
    (0, (6, 2)),
    (0, (2, 1)),
    (0, (5, 1.2, 1.2, 1.2, 1.2, 1.2)),
)
FEWEST_TICKS = 3
"""Of any axis: two show a scale only to those who know that it is linear."""

_MOST_DECADES = 7
_ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
_APART = 0.08  # least distance of two resolution labels, as a fraction of Nyquist
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Assign each curve its colour and line style.

    Parameters
    ----------
    names : iterable of str
        In the order of the legend.

    Returns
    -------
    dict of str to Look
        Fixed for sim, fake, raw, other raw and truth; spare ones for the rest, by their order alone, so that
        a curve looks the same in figures with and without those kinds.
    """
    wanted = list(names)
    spare: dict[str, Look] = {}
    for place, name in enumerate(name for name in wanted if name not in LOOKS):
        turn, colour = divmod(place, len(_SPARE))  # a colour that comes round again comes in another style
        spare[name] = (_SPARE[colour], _STYLES[(colour + turn) % len(_STYLES)], 1.6)
    return {name: LOOKS.get(name) or spare[name] for name in wanted}


def markers(names: Iterable[str]) -> dict[str, str]:
    """Assign each curve the shape of its points, for curves of a few points.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str to str
        Matplotlib's markers.
    """
    return {name: _MARKERS[place % len(_MARKERS)] for place, name in enumerate(names)}


def dress(axes: Axes) -> None:
    """Draw light axes: a grid below the curves, no frame on the right and on top.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Changed in place.
    """
    axes.tick_params(which="both", labelsize=8, colors=INK)
    axes.tick_params(length=3)
    axes.spines[["left", "bottom"]].set_color("#888888")
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def readable_ticks(axes: Axes) -> None:
    """Label at least three places of both axes, logarithmic ones too.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Changed in place; all has been drawn, and a logarithmic axis keeps its limits from here on.
    """
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            _label_logarithms(axis)
        elif isinstance(locator := axis.get_major_locator(), MaxNLocator):
            locator.set_params(min_n_ticks=FEWEST_TICKS)


def _label_logarithms(axis: Axis) -> None:
    """Label decades, or 1, 2 and 5 of each, or 1, 2, 3, 5 and 7, or round numbers: what makes three first."""
    low, high = sorted(axis.get_view_interval())
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = [10.0**exponent for exponent in exponents if low <= 10.0**exponent <= high]
    if len(decades) >= FEWEST_TICKS:
        axis.set_major_locator(FixedLocator(decades[:: math.ceil(len(decades) / _MOST_DECADES)]))
        axis.set_major_formatter(LogFormatterMathtext())
        return
    for steps in ((1, 2, 5), (1, 2, 3, 5, 7)):
        every = [step * 10.0**exponent for exponent in exponents for step in steps]
        marks = [mark for mark in every if low <= mark <= high]
        if len(marks) >= FEWEST_TICKS:
            break
    else:
        even = MaxNLocator(nbins=4, min_n_ticks=FEWEST_TICKS).tick_values(low, high)
        marks = [float(mark) for mark in even if low <= mark <= high]
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(lambda value, _: f"{value:.6g}")
    axis.set_minor_formatter(NullFormatter())


def resolution_axis(axes: Axes, pixel_size: float) -> None:
    """Add the resolution d = 2 pixel_size / u in A as an axis on top.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Its x axis is the normalized radius u, from 0 to 1.
    pixel_size : float
        Pixel size in A.
    """
    nyquist = 2 * pixel_size
    steps = np.outer(10.0 ** np.arange(-1, 4), _ROUND).ravel()
    marks = [nyquist]
    for resolution in steps:  # from fine to coarse, as long as the labels stay apart
        if nyquist / marks[-1] - nyquist / resolution >= _APART and nyquist / resolution >= _APART / 2:
            marks.append(float(resolution))
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks([nyquist / mark for mark in marks], [f"{mark:.3g}" for mark in marks])
    above.set_xlabel("resolution (Å)", fontsize=9, color=INK)
    above.tick_params(labelsize=8, colors=INK, length=3)
    above.spines[["left", "right", "bottom"]].set_visible(False)
    above.spines["top"].set_color("#888888")
