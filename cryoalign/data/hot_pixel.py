"""A single pixel that outweighs its image: of it alone every spectrum and correlation is then made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARE = 0.999  # of the sum of squares about the median; X-rays on a camera stay far below


def hot_pixel(values: NDArray[np.floating]) -> str | None:
    """Return in words which pixel outweighs all others together a thousand times, None if none does.

    Parameters
    ----------
    values : (N, N) float array
        ``[y, x]``, finite. An image that is constant but for one pixel passes: a simulation of a point.

    Returns
    -------
    str or None
    """
    about = values.astype(np.float64) - np.median(values)
    place = np.unravel_index(int(np.abs(about).argmax()), about.shape)
    largest = float(about[place])
    if not largest:
        return None
    about /= abs(largest)  # squares of 1e300 are no numbers
    rest = float(np.square(about).sum()) - 1
    about[place] = 0
    if not about.any() or rest > (1 - _SHARE) / _SHARE:
        return None
    return f"has a pixel of {values[place]:.4g} at x {place[1]}, y {place[0]} that outweighs all others"
