"""Radial log power spectra of sim, fake and raw over normalized radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryoalign.figures.style import INK, dress, looks, readable_ticks, resolution_axis
from cryoalign.physics.spectrum import normalized_radius, ring_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.figures.style import Look

BAND = (16.0, 84.0)

UNREFINED = "sim"
"""The curve that may be far from the reference, and sets no scale."""

_ROOM = 1.25  # of the largest difference of what is refined


def spectra(
    curves: Mapping[str, ArrayLike],
    box: int,
    pixel_size: float,
    *,
    title: str | None = None,
    reference: str = "raw",
    dpi: float = 150.0,
) -> Figure:
    r"""Draw radial log power spectra: the mean over particles as a line, their spread as a band.

    Under the curves stands their difference from the reference's mean, where the reference is among them. Its
    axis is scaled to what is refined, such as fake: sim, which is far from the reference, leaves it, and the
    range of its difference is written there.
    The curves come from `cryoalign.physics.spectrum.radial_log_power`; nothing is computed anew here.

    Parameters
    ----------
    curves : mapping of str to (n, R) array_like
        s(u), the ring means of log(1 + \|F\|^2), one row a particle, for ``sim``, ``fake``, ``raw`` or any
        other name; n may differ. The band holds the 16th to 84th percentile of the particles (none for a
        single one).
    box : int
        Box size N in px; R = floor(N/2) + 1.
    pixel_size : float
        Pixel size in A.
    title : str, optional
        A line above the figure.
    reference : str
        The curve that the lower panel subtracts.
    dpi : float
        Pixels per inch.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.

    Raises
    ------
    ValueError
        If there is no curve, one has another shape than (n, R), or `pixel_size` is not positive.
    """
    tables = _tables(curves, box)
    if not pixel_size > 0:
        raise ValueError(f"pixel_size must be positive, in A; got {pixel_size}")
    radius = np.asarray(normalized_radius(box), dtype=np.float64)
    compare = reference in tables and len(tables) > 1
    figure = Figure(figsize=(5.4, 4.7 if compare else 3.4), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [3.0, 1.35] if compare else [1.0]
    column = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    look = looks(tables)
    draw_curves(column[0], tables, box)
    if compare:
        _differences(column[1], radius, tables, look, reference)
    for axes in column:
        axes.set_xlim(0.0, 1.0)
        dress(axes)
        readable_ticks(axes)
    column[-1].set_xlabel("normalized radius $u$ (fraction of Nyquist)", fontsize=9, color=INK)
    resolution_axis(column[0], pixel_size)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    return figure


def draw_curves(axes: Axes, curves: Mapping[str, NDArray[np.float64]], box: int) -> None:
    """Draw the mean of each kind with its band over the normalized radius, and a legend.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Changed in place.
    curves : mapping of str to (n, R) float64
        As of `spectra`.
    box : int
        In px.
    """
    radius, look = np.asarray(normalized_radius(box), dtype=np.float64), looks(curves)
    for name, table in curves.items():
        _curve(axes, radius, name, table, look[name])
    axes.set_ylabel("$s(u)$ = ring mean of ln(1 + |F|²)", fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def _tables(curves: Mapping[str, ArrayLike], box: int) -> dict[str, NDArray[np.float64]]:
    """Check the curves' shapes and copy them to float64."""
    tables = {name: np.asarray(table, dtype=np.float64) for name, table in curves.items()}
    rings = ring_count(box)
    if not tables:
        raise ValueError("no curve to draw")
    for name, table in tables.items():
        if table.ndim != 2 or table.shape[1] != rings or len(table) == 0:
            raise ValueError(
                f"curves of {name}: expected (n, {rings}) for a box of {box} px; got {table.shape}"
            )
    return tables


def _curve(
    axes: Axes, radius: NDArray[np.float64], name: str, table: NDArray[np.float64], look: Look
) -> None:
    colour, style, width = look
    if len(table) > 1:
        low, high = np.percentile(table, BAND, axis=0)
        axes.fill_between(radius, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        radius,
        table.mean(axis=0),
        color=colour,
        linestyle=style,
        linewidth=width,
        zorder=5 - width,
        label=f"{name} (n = {len(table)})",
    )


def _differences(
    axes: Axes,
    radius: NDArray[np.float64],
    tables: Mapping[str, NDArray[np.float64]],
    looks: Mapping[str, Look],
    reference: str,
) -> None:
    """Draw each mean curve minus the reference's, which is the zero line."""
    base = tables[reference].mean(axis=0)
    away = {name: table.mean(axis=0) - base for name, table in tables.items() if name != reference}
    axes.axhline(0.0, color=looks[reference][0], linewidth=looks[reference][2])
    for name, values in away.items():
        colour, style, width = looks[name]
        faint = 0.55 if name == UNREFINED else 1.0  # where it leaves the scale it is a row of steep lines
        axes.plot(radius, values, color=colour, linestyle=style, linewidth=width, alpha=faint)
    axes.set_ylabel(f"minus {reference}", fontsize=9, color=INK)
    refined = [values for name, values in away.items() if name != UNREFINED]
    if UNREFINED in away and refined:
        _scale_to(axes, np.stack(refined), away[UNREFINED], looks[UNREFINED][0])


def _scale_to(axes: Axes, refined: NDArray[np.float64], unrefined: NDArray[np.float64], colour: str) -> None:
    """Scale the axis to the refined curves and write where the other one goes beyond it."""
    known = refined[np.isfinite(refined)]
    largest = float(np.abs(known).max(initial=0.0))
    low, high = float(np.nanmin(unrefined)), float(np.nanmax(unrefined))
    if not 0 < _ROOM * largest < max(-low, high):
        return
    axes.set_ylim(-_ROOM * largest, _ROOM * largest)
    axes.set_ylabel(f"{axes.get_ylabel()},\nscaled to fake", fontsize=9, color=INK)
    text = f"{UNREFINED} leaves the scale: {low:.2g} to {high:.2g}".replace("-", "\N{MINUS SIGN}")
    axes.text(
        0.012,
        0.05,
        text,
        transform=axes.transAxes,
        fontsize=7,
        color=colour,
        va="bottom",
        zorder=6,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.85, "edgecolor": "none"},
    )
