"""Sim, fake and raw of the same particles: as they are, low-passed, and as log|F|."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.figures.cells import (
    GAP,
    IMAGE_PERCENTILES,
    Margins,
    block_title,
    canvas,
    frequency_marks,
    limits,
    scale_bar,
    show,
    span,
)
from cryoalign.figures.low_pass import low_pass, visible_resolution
from cryoalign.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec
    from matplotlib.image import AxesImage
    from numpy.typing import ArrayLike, NDArray

KINDS = ("sim", "fake", "raw")
SPECTRUM_PERCENTILES = (2.0, 99.9)
SPECTRUM_DECADES = 4.0

_WIDTHS = [1.0, 1.0, 1.0, GAP, 1.0, 1.0, 1.0, GAP, 1.0, 1.0, 1.0, 0.07]
_LOW_PASSED, _SPECTRA, _BAR = 4, 8, 11  # first columns of the blocks behind the first, and the colour bar
_MARGINS = Margins(right=0.55, bottom=0.30)
_LIFT = 0.27  # inch between cells and the titles of the blocks


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
    """Draw particles as rows: three images, the same low-passed, then log|F| of each.

    The images of one kind share one grey scale over all rows (percentiles 0.5 and 99.5 of what is shown), and
    so do the low-passed ones; all spectra share one scale (percentiles 2 and 99.9, at most four decades), so
    that brightness can be compared down a column, and across the spectra. Low-passed are the images to
    the coarser of 20 A and 4 pixels, since a particle at an SNR of 0.05 cannot be seen. Circles mark half the
    Nyquist frequency and Nyquist, labelled with the resolution in A.

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
    box = stacks[0].shape[-1]
    figure, grid = canvas(len(stacks[0]), _WIDTHS, _MARGINS, title=title, dpi=dpi)
    _images(figure, grid, dict(zip(names, stacks, strict=True)), first=0)
    scale_bar(figure.axes[0], box, pixel_size)
    smooth = [low_pass(stack, pixel_size) for stack in stacks]
    _images(figure, grid, dict(zip(names, smooth, strict=True)), first=_LOW_PASSED)
    shown = _spectra(figure, grid, dict(zip(names, stacks, strict=True)), pixel_size)
    blocks = {
        0: f"as they are ({box} px of {pixel_size:.3g} Å)",
        _LOW_PASSED: f"low-passed to {visible_resolution(pixel_size):.3g} Å",
        _SPECTRA: "log|F|, as they are",
    }
    for first, text in blocks.items():
        block_title(figure, grid, (first, first + len(KINDS) - 1), text, _LIFT)
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


def _images(figure: Figure, grid: GridSpec, stacks: dict[str, NDArray[np.float64]], *, first: int) -> None:
    """Draw one column of images a kind, from column `first` on, with its grey values at the foot."""
    for column, (name, images) in enumerate(stacks.items(), start=first):
        ends = limits(images, IMAGE_PERCENTILES)
        cells = [figure.add_subplot(grid[row, column]) for row in range(len(images))]
        for axes, image in zip(cells, images, strict=True):
            show(axes, image, ends, smooth=first == _LOW_PASSED)
        cells[0].set_title(name, fontsize=10, color=INK, pad=4)
        cells[-1].set_xlabel(span(ends), fontsize=7, color=INK, labelpad=3)


def _spectra(
    figure: Figure, grid: GridSpec, stacks: dict[str, NDArray[np.float64]], pixel_size: float
) -> AxesImage:
    """Draw one column of log|F| a kind, all on one scale."""
    spectra = {name: _log_modulus(images) for name, images in stacks.items()}
    # What lies many decades below says only that it is empty.
    low, high = limits(np.stack(list(spectra.values())), SPECTRUM_PERCENTILES)
    ends = max(low, high - SPECTRUM_DECADES), high
    for column, (name, moduli) in enumerate(spectra.items(), start=_SPECTRA):
        cells = [figure.add_subplot(grid[row, column]) for row in range(len(moduli))]
        for axes, modulus in zip(cells, moduli, strict=True):
            shown = show(axes, modulus, ends, "magma")
            label = axes is cells[0] and column == _SPECTRA
            frequency_marks(axes, modulus.shape[-1], pixel_size, label=label)
        cells[0].set_title(name, fontsize=10, color=INK, pad=4)
    return shown


def _log_modulus(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take log10|F| of the unnormalized FFT, origin at pixel N//2; NaN where there is no logarithm."""
    modulus = np.abs(np.fft.fftshift(np.fft.fft2(images), axes=(-2, -1)))
    return np.log10(modulus, where=modulus > 0, out=np.full_like(modulus, np.nan))


def _colour_bar(figure: Figure, grid: GridSpec, shown: AxesImage) -> None:
    """Draw one bar for all spectra, to their right."""
    bar = figure.colorbar(shown, cax=figure.add_subplot(grid[:, _BAR]))
    bar.set_label("log$_{10}$|F|", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=7, colors=INK, length=2)
    bar.outline.set_visible(False)
