"""Radial log power spectra of sim, fake and raw over normalized radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryoalign.physics.spectrum import normalized_radius, ring_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

_Look = tuple[str, "str | tuple[int, tuple[float, float]]", float]  # colour, line style, line width

BAND = (16.0, 84.0)
_INK = "#222222"
# Okabe and Ito's palette, safe for colour-blind readers; the line styles tell the curves apart in print.
# The measurement is broad and lies below, so that a fake that meets it is still seen on it.
_LOOK: dict[str, _Look] = {
    "sim": ("#0072B2", (0, (4, 1.5)), 1.6),
    "fake": ("#D55E00", "solid", 1.3),
    "raw": ("#555555", "solid", 3.0),
}
_ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
_APART = 0.08  # least distance of two resolution labels, as a fraction of Nyquist
_MORE = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")


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

    Under the curves stands their difference from the reference's mean, where the reference is among them.
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
    figure = Figure(figsize=(5.4, 4.4 if compare else 3.4), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [3.0, 1.15] if compare else [1.0]
    column = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    looks = _looks(tables)
    for name, table in tables.items():
        _curve(column[0], radius, name, table, looks[name])
    column[0].set_ylabel("$s(u)$ = ring mean of ln(1 + |F|²)", fontsize=9, color=_INK)
    column[0].legend(frameon=False, fontsize=9, labelcolor=_INK, loc="best")
    if compare:
        _differences(column[1], radius, tables, looks, reference)
    for axes in column:
        _dress(axes)
    column[-1].set_xlabel("normalized radius $u$ (fraction of Nyquist)", fontsize=9, color=_INK)
    _resolution_axis(column[0], pixel_size)
    if title:
        figure.suptitle(title, fontsize=10, color=_INK)
    return figure


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


def _looks(tables: Mapping[str, NDArray[np.float64]]) -> dict[str, _Look]:
    """Give each curve its colour and line style: fixed for sim, fake and raw, a spare one for others."""
    others = [name for name in tables if name not in _LOOK]
    spare = {name: (_MORE[i % len(_MORE)], "dashdot", 1.6) for i, name in enumerate(others)}
    return {**_LOOK, **spare}


def _curve(
    axes: Axes, radius: NDArray[np.float64], name: str, table: NDArray[np.float64], look: _Look
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
    looks: Mapping[str, _Look],
    reference: str,
) -> None:
    """Draw each mean curve minus the reference's, which is the zero line."""
    base = tables[reference].mean(axis=0)
    axes.axhline(0.0, color=looks[reference][0], linewidth=looks[reference][2])
    for name, table in tables.items():
        if name != reference:
            colour, style, width = looks[name]
            axes.plot(radius, table.mean(axis=0) - base, color=colour, linestyle=style, linewidth=width)
    axes.set_ylabel(f"minus {reference}", fontsize=9, color=_INK)


def _dress(axes: Axes) -> None:
    axes.set_xlim(0.0, 1.0)
    axes.tick_params(labelsize=8, colors=_INK, length=3)
    axes.spines["right"].set_visible(False)
    axes.spines[["left", "bottom", "top"]].set_color("#888888")
    axes.spines["top"].set_visible(False)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def _resolution_axis(axes: Axes, pixel_size: float) -> None:
    """Resolution d = 2 pixel_size / u in A, on top."""
    nyquist = 2 * pixel_size
    steps = np.outer(10.0 ** np.arange(-1, 4), _ROUND).ravel()
    marks = [nyquist]
    for resolution in steps:  # from fine to coarse, as long as the labels stay apart
        if nyquist / marks[-1] - nyquist / resolution >= _APART and nyquist / resolution >= _APART / 2:
            marks.append(float(resolution))
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks([nyquist / mark for mark in marks], [f"{mark:.3g}" for mark in marks])
    above.set_xlabel("resolution (Å)", fontsize=9, color=_INK)
    above.tick_params(labelsize=8, colors=_INK, length=3)
    above.spines[["left", "right", "bottom"]].set_visible(False)
    above.spines["top"].set_color("#888888")
