"""Particles smoothed until they can be seen: at an SNR of 0.05 nobody sees one in the image as it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.physics.fourier import frequency_grid, irfft2, rfft2

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RESOLUTION = 20.0
"""A: particles are smoothed to this resolution ..."""

PIXELS = 4.0
"""... or to this many pixels, where that is coarser."""


def visible_resolution(pixel_size: float) -> float:
    """Return the resolution in A to which images of this pixel size (A) are smoothed to be looked at."""
    return max(RESOLUTION, PIXELS * pixel_size)


def low_pass(images: ArrayLike, pixel_size: float) -> NDArray[np.float64]:
    """Smooth images to `visible_resolution`.

    The filter is a Gaussian of half amplitude there: its kernel is positive, so that nothing rings.

    Parameters
    ----------
    images : (..., N, N) array_like
    pixel_size : float
        In A.

    Returns
    -------
    (..., N, N) float64 array
        All NaN where an image holds a value that is not finite.
    """
    values = torch.from_numpy(np.array(images, dtype=np.float64))
    box = values.shape[-1]
    ky, kx = frequency_grid(box, pixel_size, dtype=torch.float64)
    fraction = (ky.square() + kx.square()) * visible_resolution(pixel_size) ** 2
    smooth: NDArray[np.float64] = irfft2(rfft2(values) * torch.exp(-math.log(2) * fraction), box).numpy()
    return smooth
