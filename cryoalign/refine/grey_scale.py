"""The grey scale of sims against that of the sims that a generator was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cryoalign.data.normalize import Normalization

_SPREAD = 3.0  # other maps, defocus or B-factors through one run differ by less than 2
_OFFSET = 3.0  # standard deviations of the training's sims


def other_scale(
    normalization: Normalization, images: Iterable[NDArray[np.floating]]
) -> tuple[str, str] | None:
    """Return in words the grey values of sims and of the training's where they differ in scale, else None.

    They do where their standard deviation is 3 times that of the training's sims, or a third of it, or their
    mean is off by 3 of the latter. With a range of its own for each image the scale is of no account.

    Parameters
    ----------
    normalization : Normalization
        Of the training.
    images : iterable of (N, N) float array
        Sims in the grey values of their stack.

    Returns
    -------
    found, expected : str
        Mean and standard deviation.
    """
    if normalization.range != "none":
        return None
    offset, scale = normalization.sim_offset, abs(normalization.sim_scale)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = np.array([_moments(image, offset, scale) for image in images])
        if not len(moments):
            return None
        mean, square = moments.mean(axis=0)
        spread = float(np.sqrt(max(square - mean**2, 0.0)))
    if 1 / _SPREAD <= spread <= _SPREAD and abs(mean) <= _OFFSET:
        return None
    return _text(mean * scale + offset, spread * scale), _text(offset, scale)


def _text(mean: float, spread: float) -> str:
    return f"images of mean {mean:.4g} and standard deviation {spread:.4g}"


def _moments(image: NDArray[np.floating], offset: float, scale: float) -> tuple[float, float]:
    grey = (np.asarray(image, dtype=np.float64) - offset) / scale
    return float(grey.mean()), float(np.square(grey).mean())
