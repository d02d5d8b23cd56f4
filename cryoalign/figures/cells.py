"""Grids of images: the canvas, one cell, its scale bar, the grey values it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from cryoalign.figures.style import INK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

IMAGE_PERCENTILES = (0.5, 99.5)
GAP = 0.12
"""Width of a column without images between two blocks of columns, in cells."""

_MARK = "#56d1ff"  # light blue: stands out from every shade of the spectra's colour map
_CELL = 1.25  # inch
_SPACE = 0.06  # between cells, in cells
_TITLE = 0.26  # inch


class Margins(NamedTuple):
    """Room around the cells, in inch."""

    left: float = 0.10
    right: float = 0.10
    bottom: float = 0.10
    top: float = 0.52


def canvas(
    rows: int, widths: Sequence[float], margins: Margins, *, title: str | None, dpi: float
) -> tuple[Figure, GridSpec]:
    """Make a figure with a grid of cells, and a title above them.

    Parameters
    ----------
    rows : int
    widths : sequence of float
        Of the columns, in cells.
    margins : Margins
    title : str or None
    dpi : float
        Pixels per inch.

    Returns
    -------
    figure : matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.
    grid : matplotlib.gridspec.GridSpec
    """
    left, right, bottom, top = margins
    top += _TITLE if title else 0.0
    width = left + right + _CELL * (sum(widths) + _SPACE * (len(widths) - 1))
    height = bottom + top + _CELL * (rows + _SPACE * (rows - 1))
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    mean = sum(widths) / len(widths)  # matplotlib counts the space in mean cells
    grid = figure.add_gridspec(
        rows,
        len(widths),
        width_ratios=widths,
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=_SPACE / mean,
        hspace=_SPACE,
    )
    if title:
        figure.suptitle(
            title, x=left / width, y=1 - 0.06 / height, ha="left", va="top", fontsize=10, color=INK
        )
    return figure, grid


def block_title(figure: Figure, grid: GridSpec, columns: tuple[int, int], text: str, lift: float) -> None:
    """Write a title with a line under it over a block of columns, `lift` inch above the cells."""
    first, last = (grid[0, column].get_position(figure) for column in columns)
    height = first.y1 + lift / figure.get_figheight()
    figure.text((first.x0 + last.x1) / 2, height, text, ha="center", va="bottom", fontsize=10, color=INK)
    line = Rectangle(
        (first.x0, height - 0.02 / figure.get_figheight()),
        last.x1 - first.x0,
        0.0,
        transform=figure.transFigure,
        edgecolor="#888888",
        linewidth=0.6,
    )
    figure.add_artist(line)


def limits(values: NDArray[np.float64], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return percentiles of what is finite, never equal."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, percentiles))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def span(ends: tuple[float, float]) -> str:
    """Write the grey values that a scale goes from and to."""
    return f"{ends[0]:.3g} to {ends[1]:.3g}".replace("-", "\N{MINUS SIGN}")


def show(
    axes: Axes,
    image: NDArray[np.float64],
    ends: tuple[float, float],
    colours: str = "gray",
    *,
    smooth: bool = False,
) -> AxesImage:
    """Draw an image without a frame, in grey values or colours between two ends.

    Pixels stay squares, but for a smooth image, which holds nothing as fine as they are.
    """
    interpolation = "bicubic" if smooth else "nearest"
    shown = axes.imshow(image, cmap=colours, vmin=ends[0], vmax=ends[1], interpolation=interpolation)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return shown


def scale_bar(axes: Axes, box: int, pixel_size: float) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten A, at most 40 % of the box, on a dark ground."""
    longest = 0.4 * box * pixel_size
    decade = 10.0 ** np.floor(np.log10(longest))
    length = decade * max(step for step in (1, 2, 5) if step * decade <= longest)
    bar, margin = length / pixel_size, 0.04 * box
    left, foot = -0.5, box - 0.5
    width, height = bar + 2 * margin, 0.20 * box
    axes.add_patch(Rectangle((left, foot - height), width, height, color="black", alpha=0.6, linewidth=0))
    line = Rectangle((left + margin, foot - 0.07 * box), bar, 0.025 * box, color="white", linewidth=0)
    axes.add_patch(line)
    place = (left + margin + bar / 2, foot - 0.085 * box)
    axes.text(*place, f"{length:g} Å", color="white", fontsize=7, ha="center", va="bottom")


def frequency_marks(axes: Axes, box: int, pixel_size: float, *, label: bool) -> None:
    """Draw circles at half of Nyquist and at Nyquist, with their resolution in A."""
    centre, nyquist = box // 2, box / 2
    for fraction in (0.5, 1.0):
        radius = fraction * nyquist
        circle = Circle((centre, centre), radius, fill=False, edgecolor=_MARK, linewidth=0.7, alpha=0.9)
        axes.add_patch(circle)
        if label:
            place = centre + radius * np.sqrt(0.5)
            axes.text(
                place,
                place,
                f"{2 * pixel_size / fraction:.3g} Å",
                color="white",
                fontsize=6,
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.65, "edgecolor": "none"},
            )
