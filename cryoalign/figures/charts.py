"""Curves with bands, in the looks of the spectra, as figures and as SVG to be set into a page."""

from __future__ import annotations

import re
from html import escape
from io import StringIO
from textwrap import fill, wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryoalign.figures.style import INK, dress, looks, markers, readable_ticks, resolution_axis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.figures.style import Look

FEW = 12
"""Curves of at most this many points show them."""

DECADES = 6
"""A logarithmic axis shows no more of them: what lies below is next to nothing."""

_SIZE = (4.3, 3.0)  # inch; two of them stand side by side on a page
# Characters of a line, in a legend, along x and along y: what is longer is broken into several.
_NAME, _X_LABEL, _Y_LABEL = 48, 52, 30
_LINE, _LEGEND_LINES = 0.18, 2  # height of a line in inch, and how many the size of a chart has room for
_LEGEND = 54  # characters of several names in one line, with the lines before them
# Fixed salt and no date: the same curves give the same file. Text stays text, in the fonts of the page.
_SVG: dict[Any, Any] = {"svg.hashsalt": "cryoalign", "svg.fonttype": "none"}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Curve(NamedTuple):
    """A curve, with a band where `low` and `high` are given.

    Attributes
    ----------
    x, y : (n,) array_like
        A None or NaN leaves a gap.
    low, high : (n,) array_like, optional
        Edges of the band.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike = ()
    high: ArrayLike = ()


def chart(
    curves: Mapping[str, Curve],
    x_label: str,
    y_label: str,
    *,
    log_y: bool = False,
    pixel_size: float | None = None,
    title: str | None = None,
    dpi: float = 150.0,
) -> Figure:
    """Draw curves with a legend below them.

    Parameters
    ----------
    curves : mapping of str to Curve
        ``sim``, ``fake``, ``raw``, ``other raw`` and ``truth`` have fixed looks, other names spare ones.
    x_label, y_label : str
        With units.
    log_y : bool
        Logarithmic y axis; what is not positive is left out.
    pixel_size : float, optional
        In A, where the x axis is the normalized radius: the resolution then stands on top.
    title : str, optional
        A line above the figure.
    dpi : float
        Pixels per inch.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.

    Raises
    ------
    ValueError
        If there is no curve, or the lengths of one do not fit together.
    """
    tables = {name: _table(name, curve) for name, curve in curves.items()}
    if not tables:
        raise ValueError("no curve to draw")
    names = [fill(name, _NAME) for name in tables]
    width, height = _SIZE
    height += _LINE * max(0, _legend_lines(names) - _LEGEND_LINES)
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if log_y and any(bool((table[1] > 0).any()) for table in tables.values()):
        axes.set_yscale("log")
        tables = {name: _positive(table) for name, table in tables.items()}
    look, shape = looks(tables), markers(tables)
    for name, table in tables.items():
        _draw(axes, name, table, look[name], shape[name])
    if pixel_size is not None:
        axes.set_xlim(0.0, 1.0)
    if axes.get_yscale() == "log":
        _limit_decades(axes)
    dress(axes)
    readable_ticks(axes)
    axes.set_xlabel(_broken(x_label, _X_LABEL), fontsize=9, color=INK)
    axes.set_ylabel(_broken(y_label, _Y_LABEL), fontsize=9, color=INK)
    if pixel_size is not None:
        resolution_axis(axes, pixel_size)
    figure.legend(
        loc="outside lower center", ncols=_columns(names), frameon=False, fontsize=9, labelcolor=INK
    )
    if title:
        figure.suptitle(_broken(title, _X_LABEL), fontsize=10, color=INK)
    return figure


def svg(figure: Figure, name: str, label: str = "") -> str:
    """Return a figure as an SVG element that can stand in an HTML page beside others.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Put before every id of the drawing, so that no two drawings of a page share one.
    label : str
        What a screen reader says.

    Returns
    -------
    str
        As wide as its surroundings; without metadata, fonts or anything to be fetched, and the same for the
        same figure.
    """
    target = StringIO()
    with mpl.rc_context(_SVG):
        figure.savefig(target, format="svg", metadata=_NO_METADATA)
    text = target.getvalue()
    text = text[text.index("<svg") :]
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    for drop in (r"<metadata>.*?</metadata>", r"<style[^>]*>.*?</style>", r"<!--.*?-->"):
        body = re.sub(drop, "", body, flags=re.DOTALL)
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    body = re.sub(r'font-family: [^;"]*;? ?', "", body)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = body.replace("url(#", f"url(#{prefix}-").replace('xlink:href="#', f'href="#{prefix}-')
    return f'<svg {view.group() if view else ""} role="img" aria-label="{escape(label)}">{body.strip()}'


def _broken(label: str, width: int) -> str:
    """Break a label into lines of like length, if possible not within parentheses."""
    held = re.sub(r"\([^)]*\)", lambda part: part.group().replace(" ", "\N{NO-BREAK SPACE}"), label)
    count = len(wrap(held, width))
    balanced = next(size for size in range(1, width + 1) if len(wrap(held, size)) <= count)
    return fill(held, balanced).replace("\N{NO-BREAK SPACE}", " ")


def _table(name: str, curve: Curve) -> NDArray[np.float64]:
    """Stack x, y, low and high as (4, n), the band NaN where there is none."""
    x, y, low, high = (np.asarray(part, dtype=np.float64) for part in curve)
    band = [part if part.size else np.full(x.shape, np.nan) for part in (low, high)]
    if x.ndim != 1 or any(part.shape != x.shape for part in (y, *band)):
        raise ValueError(f"curve {name}: x, y, low and high must be of one length; got {x.shape}, {y.shape}")
    return np.stack([x, y, *band])


def _positive(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave gaps where there is no logarithm."""
    values = table.copy()
    values[1:][~(values[1:] > 0)] = np.nan
    return values


def _draw(axes: Axes, name: str, table: NDArray[np.float64], look: Look, shape: str) -> None:
    colour, style, width = look
    x, y, low, high = table
    if np.isfinite(low * high).any():
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    points: dict[str, Any] = {"marker": shape, "markersize": 4.5} if 0 < np.isfinite(y).sum() <= FEW else {}
    flat = len(x) == 2 and y[0] == y[1]  # a level that holds for all x: its ends are no measurements
    axes.plot(
        x,
        y,
        color=colour,
        linestyle=style,
        linewidth=width,
        zorder=5 - width,
        label=fill(name, _NAME).replace("$", r"\$"),  # a name is no formula
        **({} if flat else points),
    )


def _limit_decades(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=max(low, high / 10**DECADES))


def _columns(names: list[str]) -> int:
    """As many legend entries in a line as fit, six at the most."""
    widest = max(len(line) for name in names for line in name.splitlines()) + 8  # the line before the name
    return max(1, min(len(names), 6, _LEGEND // widest))


def _legend_lines(names: list[str]) -> int:
    """Lines of text that the legend's longest column has, or nearly."""
    lines = sum(len(name.splitlines()) for name in names)
    return -(-lines // _columns(names))
