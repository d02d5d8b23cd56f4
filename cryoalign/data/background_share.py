"""How much of an image is background: what sets measured images apart from clean simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.physics.mask import background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoalign.data.images import ParticleImages

_IMAGES = 100
_RADIUS = 0.9  # of the particle's circle, as a fraction of half the box


def background_share(images: ParticleImages, rows: NDArray[np.int64] | None = None) -> float:
    r"""Return the variance outside the particle's circle over that of the whole image.

    .. math::
        \mathrm{median}_i \; \mathrm{Var}(x_i : r > 0.9\,N/2) \,/\, \mathrm{Var}(x_i)

    Near 1 where noise dominates, near 0 for a clean simulation.

    Parameters
    ----------
    images : ParticleImages
    rows : (n,) int64, optional
        Rows to look at, all if not given; up to 100 of them, evenly.

    Returns
    -------
    float
    """
    outside = background(images.box, _RADIUS)
    return float(np.median([image[outside].var() / image.var() for image in some_images(images, rows)]))


def bright_share(images: ParticleImages, rows: NDArray[np.int64] | None = None) -> float:
    """Return the fraction of images that are brighter inside the particle's circle than outside.

    1 or nearly so for clean simulated images of bright particles, 0 for dark ones, in between for noise.

    Parameters
    ----------
    images : ParticleImages
    rows : (n,) int64, optional
        As of `background_share`.

    Returns
    -------
    float
    """
    outside = background(images.box, _RADIUS)
    return float(
        np.mean([image[~outside].mean() > image[outside].mean() for image in some_images(images, rows)])
    )


def some_images(
    images: ParticleImages, rows: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.float64]]:
    """Yield up to 100 images, evenly from `rows` or from all that are not known to show nothing."""
    rows = np.flatnonzero(~images.without_particle) if rows is None else rows
    for row in rows[evenly(np.ones(len(rows), dtype=np.bool_))]:
        yield images.image(int(row)).astype(np.float64)


def evenly(asked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return up to 100 of the rows that are asked for, evenly, as `some_images` takes them."""
    rows = np.flatnonzero(asked)
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _IMAGES)).astype(np.int64))]
