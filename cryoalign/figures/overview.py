"""A stack at a glance: some of its images, their spectra, views of the particle, and defocus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.figures.cells import IMAGE_PERCENTILES, Margins, canvas, limits, scale_bar, show, span
from cryoalign.figures.low_pass import low_pass, visible_resolution
from cryoalign.figures.spectra import draw_curves
from cryoalign.figures.style import INK, dress, readable_ticks, resolution_axis
from cryoalign.figures.views import draw_defocus, draw_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.figures.views import Conditions

SHOWN = 8
"""Images in a row."""

_CALM = 2.0  # least end of the scale of views, so that chance does not look like a preferred view
_LOWER = 3.55  # inch, below the images
_MARGINS = Margins(left=0.95, bottom=_LOWER, top=0.30)
# Places in inch from the lower left corner: left, bottom, width, height.
_SPECTRA = (0.74, 0.55, 3.1, 2.2)
_DEFOCUS = (8.35, 0.55, 2.75, 2.2)
_VIEWS = {1: ((4.35, 0.85, 2.75, 1.6),), 2: ((4.45, 1.9, 2.5, 1.25), (4.45, 0.36, 2.5, 1.25))}
_BAR = (7.2, 0.62, 0.1, 2.0)


def overview(
    images: ArrayLike,
    labels: Sequence[str],
    curves: Mapping[str, NDArray[np.float64]],
    conditions: Mapping[str, Conditions],
    pixel_size: float,
    *,
    title: str,
    dpi: float = 96.0,
) -> Figure:
    """Draw images, the same low-passed, spectra, views and defocus.

    Parameters
    ----------
    images : (n, N, N) array_like
        At most `SHOWN`, on one grey scale.
    labels : sequence of str
        Of each.
    curves : mapping of str to (m, R) float64
        Radial log power of images of variance 1, by ``sim``, ``fake`` or ``raw``.
    conditions : mapping of str to Conditions
        Two at the most, by the same names: the views of both have one colour scale.
    pixel_size : float
        In A.
    title : str
    dpi : float
        Pixels per inch.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, independent of pyplot's state.
    """
    stack = np.asarray(images, dtype=np.float64)
    figure, grid = canvas(2, [1.0] * SHOWN, _MARGINS, title=title, dpi=dpi)
    box = stack.shape[-1]
    rows = {
        f"as they are\n{box} px of\n{pixel_size:.3g} Å": stack,
        f"low-passed\nto {visible_resolution(pixel_size):.3g} Å": low_pass(stack, pixel_size),
    }
    for row, (name, shown) in enumerate(rows.items()):
        ends = limits(shown, IMAGE_PERCENTILES)
        greys = span(ends).replace(" to ", " to\n")
        for column, image in enumerate(shown):
            axes = figure.add_subplot(grid[row, column])
            show(axes, image, ends, smooth=row > 0)
            if row == 0:
                axes.set_title(labels[column], fontsize=8, color=INK, pad=3)
            if column == 0:
                axes.set_ylabel(
                    f"{name}\n\ngrey values\n{greys}",
                    rotation=0, ha="right", va="center", labelpad=4, fontsize=7.5, color=INK,
                )  # fmt: skip
    scale_bar(figure.axes[0], box, pixel_size)
    if curves:
        _spectra(_axes(figure, _SPECTRA), curves, box, pixel_size)
    _views(figure, conditions)
    place = _axes(figure, _DEFOCUS)
    draw_defocus(place, conditions)
    readable_ticks(place)
    return figure


def _axes(figure: Figure, place: tuple[float, float, float, float], projection: str | None = None) -> Axes:
    """Add axes at a place in inch."""
    width, height = figure.get_size_inches()
    left, bottom, across, up = place
    where = (left / width, bottom / height, across / width, up / height)
    return figure.add_axes(where, projection=projection)


def _spectra(axes: Axes, curves: Mapping[str, NDArray[np.float64]], box: int, pixel_size: float) -> None:
    draw_curves(axes, curves, box)
    axes.set_ylabel("ring mean of ln(1 + |F|²)\nof images of variance 1", fontsize=9, color=INK)
    axes.set_xlabel("fraction of Nyquist", fontsize=9, color=INK)
    axes.set_xlim(0.0, 1.0)
    dress(axes)
    readable_ticks(axes)
    resolution_axis(axes, pixel_size)


def _views(figure: Figure, conditions: Mapping[str, Conditions]) -> None:
    """Draw the views of each kind, one above the other, on one scale."""
    counted = [float(found.density.max()) for found in conditions.values() if found.points is None]
    highest, mesh = max([_CALM, *counted]), None
    for place, (kind, found) in zip(_VIEWS[len(conditions)], conditions.items(), strict=True):
        axes = _axes(figure, place, "mollweide")
        mesh = draw_views(axes, kind, found, highest) or mesh
        axes.set_title(f"views of {kind} (n = {found.views})", fontsize=9, color=INK, pad=3)
    axes.set_xlabel("beam along x in the middle, along z at the top", fontsize=7.5, color=INK, labelpad=4)
    if mesh is not None:
        _colour_bar(figure, mesh)


def _colour_bar(figure: Figure, mesh: QuadMesh) -> None:
    bar = figure.colorbar(mesh, cax=_axes(figure, _BAR))
    bar.set_label("times as many as of uniform views", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=7, colors=INK, length=2)
    bar.outline.set_visible(False)
