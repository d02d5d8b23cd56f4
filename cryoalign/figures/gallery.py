"""The same few particles as several generators make them, a row a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.figures.cells import (
    GAP,
    IMAGE_PERCENTILES,
    Margins,
    block_title,
    canvas,
    limits,
    scale_bar,
    show,
    span,
)
from cryoalign.figures.low_pass import low_pass, visible_resolution
from cryoalign.figures.style import INK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec
    from numpy.typing import ArrayLike, NDArray

_CHARACTER = 0.085  # inch, in the names of the rows
_FOOT = 0.22  # inch for the grey values


def gallery(
    rows: Mapping[str, ArrayLike],
    pixel_size: float,
    *,
    scale_of: str = "raw",
    apart: tuple[str, ...] = ("sim",),
    dpi: float = 150.0,
) -> Figure:
    """Draw particles as columns and what shows them as rows: as they are, and low-passed.

    All rows share the grey scale of one of them, so that noise can be compared from row to row, but for those
    that hold no noise.

    Parameters
    ----------
    rows : mapping of str to (n, N, N) array_like
        Images of the same n particles, in the same order; a name may have several lines.
    pixel_size : float
        Pixel size in A.
    scale_of : str
        The row whose percentiles 0.5 and 99.5 are black and white.
    apart : tuple of str
        Rows with another scale, from their own percentiles.
    dpi : float
        Pixels per inch.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.

    Raises
    ------
    ValueError
        If the rows are not stacks of square images of one shape, or `scale_of` is none of them.
    """
    stacks = {name: np.asarray(images, dtype=np.float64) for name, images in rows.items()}
    shapes = {images.shape for images in stacks.values()}
    shape = next(iter(shapes), ())
    if len(shapes) != 1 or len(shape) != 3 or shape[1] != shape[2] or 0 in shape:
        raise ValueError(f"expected stacks of one shape (n, N, N) with n, N > 0; got {shapes}")
    if scale_of not in stacks:
        raise ValueError(f"scale_of must be one of {list(stacks)}; got {scale_of}")
    count, box = shape[0], shape[2]
    widths = [1.0] * count + [GAP] + [1.0] * count
    longest = max(len(line) for name in stacks for line in name.splitlines())
    margins = Margins(left=0.2 + _CHARACTER * longest, top=0.30, bottom=_FOOT)
    figure, grid = canvas(len(stacks), widths, margins, title=None, dpi=dpi)
    _block(figure, grid, stacks, scale_of, apart, first=0)
    scale_bar(figure.axes[0], box, pixel_size)
    smooth = {name: low_pass(images, pixel_size) for name, images in stacks.items()}
    _block(figure, grid, smooth, scale_of, apart, first=count + 1)
    block_title(figure, grid, (0, count - 1), f"as they are ({box} px of {pixel_size:.3g} Å)", 0.06)
    smoothed = f"low-passed to {visible_resolution(pixel_size):.3g} Å"
    block_title(figure, grid, (count + 1, 2 * count), smoothed, 0.06)
    return figure


def _block(
    figure: Figure,
    grid: GridSpec,
    stacks: Mapping[str, NDArray[np.float64]],
    scale_of: str,
    apart: tuple[str, ...],
    *,
    first: int,
) -> None:
    """Draw all rows from column `first` on; the foot says from which grey value to which they go."""
    common = limits(stacks[scale_of], IMAGE_PERCENTILES)
    for row, (name, images) in enumerate(stacks.items()):
        ends = limits(images, IMAGE_PERCENTILES) if name in apart else common
        for column, image in enumerate(images, start=first):
            axes = figure.add_subplot(grid[row, column])
            show(axes, image, ends, smooth=first > 0)
            if column == 0:
                axes.set_ylabel(
                    name.replace("$", r"\$"),
                    rotation=0, ha="right", va="center", labelpad=6, fontsize=10, color=INK,
                )  # fmt: skip
    others = "".join(f"; {name} has another scale" for name in apart if name in stacks)
    place = grid[len(stacks) - 1, first].get_position(figure)
    figure.text(
        place.x0, 0.3 * _FOOT / figure.get_figheight(), f"grey values {span(common)}{others}",
        fontsize=7, color=INK, ha="left", va="bottom",
    )  # fmt: skip
