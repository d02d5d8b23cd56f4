"""Sim, fake and raw side by side, in real space and as log|F|."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from cryoalign.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec
    from matplotlib.image import AxesImage
    from numpy.typing import ArrayLike, NDArray

KINDS = ("sim", "fake", "raw")
IMAGE_PERCENTILES = (0.5, 99.5)
SPECTRUM_PERCENTILES = (2.0, 99.9)
SPECTRUM_DECADES = 4.0
_MARK = "#56d1ff"  # light blue: stands out from every shade of the spectra's colour map
_CELL = 1.25  # inch


def panels(
    sim: ArrayLike,
    fake: ArrayLike,
    raw: ArrayLike,
    pixel_size: float,
    *,
    rows: int = 4,
    names: tuple[str, str, str] = KINDS,
    title: str | None = None,
    dpi: float = 150.0,
) -> Figure:
    """Draw particles as rows: three images, then log|F| of each.

    The images of one kind share one grey scale over all rows (percentiles 0.5 and 99.5 of what is shown),
    and all spectra share one scale (percentiles 2 and 99.9, at most four decades), so that brightness can be
    compared down a column, and across the spectra. Circles mark half the Nyquist frequency and Nyquist,
    labelled with the resolution in A.

    Parameters
    ----------
    sim, fake, raw : (n, N, N) array_like
        Images of the same n particles, in the same order; grey values of any unit.
    pixel_size : float
        Pixel size in A.
    rows : int
        At most this many particles are drawn, the first ones.
    names : tuple of str
        Titles of the three kinds.
    title : str, optional
        A line above the figure, a step or a run's name.
    dpi : float
        Pixels per inch; a cell is 1.25 inch wide.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.

    Raises
    ------
    ValueError
        If the three are not stacks of square images of one shape, or hold no image, or `pixel_size` is not
        positive.
    """
    stacks = _stacks((sim, fake, raw), rows)
    if not pixel_size > 0:
        raise ValueError(f"pixel_size must be positive, in A; got {pixel_size}")
    spectra = [_log_modulus(stack) for stack in stacks]
    figure, grid = _canvas(len(stacks[0]), title, dpi)
    spectrum_limits = _spectrum_limits(spectra)
    shown = None
    for kind, (images, modulus) in enumerate(zip(stacks, spectra, strict=True)):
        limits = _limits(images, IMAGE_PERCENTILES)
        for row in range(len(images)):
            axes = figure.add_subplot(grid[row, kind])
            _show(axes, images[row], limits, "gray")
            if row == 0:
                axes.set_title(names[kind], fontsize=10, color=INK, pad=4)
            if row == len(images) - 1:
                axes.set_xlabel(_span(limits), fontsize=7, color=INK, labelpad=3)
            if row == kind == 0:
                _scale_bar(axes, images.shape[-1], pixel_size)
            axes = figure.add_subplot(grid[row, kind + 4])
            shown = _show(axes, modulus[row], spectrum_limits, "magma")
            _frequency_marks(axes, modulus.shape[-1], pixel_size, label=row == kind == 0)
            if row == 0:
                axes.set_title(f"log|F|, {names[kind]}", fontsize=10, color=INK, pad=4)
    if shown is not None:
        _colour_bar(figure, grid, shown)
    return figure


def _stacks(kinds: tuple[ArrayLike, ...], rows: int) -> list[NDArray[np.float64]]:
    """Check the three stacks and keep the rows to be drawn, as float64."""
    stacks = [np.asarray(images) for images in kinds]
    shapes = [stack.shape for stack in stacks]
    shape = shapes[0]
    if len(set(shapes)) > 1 or len(shape) != 3 or shape[1] != shape[2] or 0 in shape:
        raise ValueError(f"expected three stacks of one shape (n, N, N) with n, N > 0; got {shapes}")
    if rows < 1:
        raise ValueError(f"rows must be at least 1; got {rows}")
    return [stack[:rows].astype(np.float64) for stack in stacks]


def _log_modulus(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take log10|F| of the unnormalized FFT, origin at pixel N//2; NaN where there is no logarithm."""
    modulus = np.abs(np.fft.fftshift(np.fft.fft2(images), axes=(-2, -1)))
    return np.log10(modulus, where=modulus > 0, out=np.full_like(modulus, np.nan))


def _limits(values: NDArray[np.float64], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Percentiles of what is finite, never equal."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, percentiles))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _spectrum_limits(spectra: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Percentiles, but not more than so many decades: what lies far below says only that it is empty."""
    low, high = _limits(np.stack(spectra), SPECTRUM_PERCENTILES)
    return max(low, high - SPECTRUM_DECADES), high


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.3g} to {limits[1]:.3g}".replace("-", "\N{MINUS SIGN}")


def _canvas(rows: int, title: str | None, dpi: float) -> tuple[Figure, GridSpec]:
    """Make a figure and its grid: three columns, a gap, three columns, a narrow one for the colour bar."""
    ratios = [1.0, 1.0, 1.0, 0.10, 1.0, 1.0, 1.0, 0.07]
    space = 0.06  # between cells, in cells
    left, right, bottom, top = 0.10, 0.55, 0.30, 0.32 + (0.22 if title else 0.0)  # margins in inch
    width = left + right + _CELL * (sum(ratios) + space * (len(ratios) - 1))
    height = bottom + top + _CELL * (rows + space * (rows - 1))
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    mean = sum(ratios) / len(ratios)  # matplotlib counts the space in mean cells
    grid = figure.add_gridspec(
        rows,
        len(ratios),
        width_ratios=ratios,
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=space / mean,
        hspace=space,
    )
    if title:
        figure.suptitle(
            title, x=left / width, y=1 - 0.06 / height, ha="left", va="top", fontsize=10, color=INK
        )
    return figure, grid


def _show(axes: Axes, image: NDArray[np.float64], limits: tuple[float, float], colours: str) -> AxesImage:
    shown = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return shown


def _scale_bar(axes: Axes, box: int, pixel_size: float) -> None:
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


def _frequency_marks(axes: Axes, box: int, pixel_size: float, *, label: bool) -> None:
    """Circles at half of Nyquist and at Nyquist, with their resolution in A."""
    centre, nyquist = box // 2, box / 2
    for fraction in (0.5, 1.0):
        radius = fraction * nyquist
        circle = Circle((centre, centre), radius, fill=False, edgecolor=_MARK, linewidth=0.7, alpha=0.9)
        axes.add_patch(circle)
        if label:
            place = centre + radius * np.sqrt(0.5)
            axes.text(
                place,
                centre + radius * np.sqrt(0.5),
                f"{2 * pixel_size / fraction:.3g} Å",
                color="white",
                fontsize=6,
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.65, "edgecolor": "none"},
            )


def _colour_bar(figure: Figure, grid: GridSpec, shown: AxesImage) -> None:
    """One bar for all spectra, beside them."""
    bar = figure.colorbar(shown, cax=figure.add_subplot(grid[:, 7]))
    bar.set_label("log$_{10}$|F|", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=7, colors=INK, length=2)
    bar.outline.set_visible(False)
