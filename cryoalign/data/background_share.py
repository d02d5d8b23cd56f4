"""How much of an image is background: what sets measured images apart from clean simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.physics.mask import background

if TYPE_CHECKING:
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
    rows = np.arange(len(images)) if rows is None else rows
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _IMAGES)).astype(np.int64))]
    outside = background(images.box, _RADIUS)
    values = (images.image(int(row)).astype(np.float64) for row in chosen)
    return float(np.median([image[outside].var() / image.var() for image in values]))
