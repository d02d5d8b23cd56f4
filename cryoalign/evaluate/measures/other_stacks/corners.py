"""Noise of images outside their particles, and the images whose noise is another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.evaluate.measures.memorization.copies import alarm_of, whitened_residuals
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.mask import background

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

LARGEST_BOX = 64
"""In px: larger images are cropped to it in Fourier space."""

_BATCH = 64


class Corners(NamedTuple):
    """Whitened noise outside of the particle's circle, each image's of length 1 and mean 0.

    Attributes
    ----------
    noise : (n, P) float32 tensor
    mirrored : (n, P) float32 tensor
        That of the images mirrored left to right, as strong and as coloured: what chance does.
    """

    noise: Tensor
    mirrored: Tensor


class Found(NamedTuple):
    """The largest correlation of each of n images with any of m others.

    Attributes
    ----------
    best : (n,) float64 tensor
    chance : (n,) float64 tensor
        The same with the mirrored others.
    alarm : float
        What chance exceeds in one image of a thousand.
    """

    best: Tensor
    chance: Tensor
    alarm: float


def read_corners(
    read: Callable[[NDArray[np.int64]], Tensor], rows: NDArray[np.int64], box: int, radius: float
) -> Corners:
    """Read images and take what is outside of their particles.

    Parameters
    ----------
    read : callable
        Returns (B, N, N) images for (B,) rows.
    rows : (n,) int64
    box : int
        To which they are cropped in Fourier space.
    radius : float
        Of the particle's circle, as a fraction of half the box.

    Returns
    -------
    Corners
    """
    starts = range(0, len(rows), _BATCH)
    images = torch.cat([fourier_resize(read(rows[start : start + _BATCH]), box) for start in starts])
    white = whitened_residuals(images, torch.zeros_like(images))
    outside = torch.from_numpy(background(box, radius))
    mirrored = white.flip(-1).roll(1, -1)  # about the centre, which keeps the circle in its place
    return Corners(*(_of_length_1(kind[:, outside]) for kind in (white, mirrored)))


def _of_length_1(values: Tensor) -> Tensor:
    away = values - values.mean(1, keepdim=True)
    unit: Tensor = away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(1e-30)
    return unit


def find(fakes: Tensor, others: Corners, allowed: Tensor) -> Found:
    """Find for each image the one of others that its noise resembles most.

    Parameters
    ----------
    fakes : (n, P) float32 tensor
    others : Corners
        Of m images.
    allowed : (n, m) bool tensor
        Which may be compared.

    Returns
    -------
    Found
    """
    best, chance = (
        (fakes @ kind.T).masked_fill(~allowed, -1).amax(1).double()
        for kind in (others.noise, others.mirrored)
    )
    return Found(best, chance, alarm_of(chance, 1e-6))
