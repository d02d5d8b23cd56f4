"""Classes without RELION: k-means on features that do not change when an image is turned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_ORDERS = 6  # of rotational symmetry, from 0
_SMOOTH = 1.5  # px, standard deviation of the low-pass
_COMPONENTS = 12
_ITERATIONS, _STARTS = 50, 8


def rotational_features(images: Tensor) -> Tensor:
    """Describe images by the strength of their rotational symmetries, radius by radius.

    An image, low-passed, is sampled on circles about its centre; of each circle the absolute values of the
    Fourier coefficients of orders 0 to 5 over the angle are kept, which a rotation does not change.

    Parameters
    ----------
    images : (n, N, N) tensor
        Centred on their particles.

    Returns
    -------
    (n, F) float64 tensor
    """
    box = images.shape[-1]
    radii = torch.arange(1, int(0.4 * box), 2, dtype=torch.float32)
    angles = torch.arange(4 * _ORDERS, dtype=torch.float32) * (2 * math.pi / (4 * _ORDERS))
    # In grid_sample's units -1 and 1 are the outer edges of the first and the last pixel.
    centre = (2 * (box // 2) + 1) / box - 1
    x = centre + 2 / box * radii[:, None] * angles.cos()
    y = centre + 2 / box * radii[:, None] * angles.sin()
    grid = torch.stack([x, y], -1)[None]
    found = []
    for part in torch.split(images.float(), 64):
        smooth = _low_passed(part)
        circles = F.grid_sample(smooth[:, None], grid.expand(len(part), -1, -1, -1), align_corners=False)
        orders = torch.fft.rfft(circles[:, 0].double(), dim=-1).abs()[..., :_ORDERS]
        found.append((orders * radii[:, None].sqrt()).flatten(1))  # a long circle counts for more
    return torch.cat(found)


def _low_passed(images: Tensor) -> Tensor:
    reach = int(4 * _SMOOTH)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * _SMOOTH**2))
    kernel = kernel / kernel.sum()
    along_x = F.conv2d(images[:, None], kernel[None, None, None], padding=(0, reach))
    return F.conv2d(along_x, kernel[None, None, :, None], padding=(reach, 0))[:, 0]


def classify(images: Tensor, *, classes: int, seed: int) -> NDArray[np.int64]:
    """Sort images into classes of like rotational features.

    Parameters
    ----------
    images : (n, N, N) tensor
        Centred on their particles.
    classes : int
    seed : int

    Returns
    -------
    (n,) int64
        0-based.
    """
    features = rotational_features(images)
    features = features - features.mean(0)
    u, s, _ = torch.linalg.svd(features, full_matrices=False)
    points = (u * s)[:, :_COMPONENTS].numpy()
    best, least = np.zeros(len(points), dtype=np.int64), math.inf
    for start in range(_STARTS):
        centres, found = kmeans2(
            points,
            min(classes, len(points)),
            iter=_ITERATIONS,
            minit="++",
            seed=np.random.default_rng([seed, start]),
        )
        away = float(((points - centres[found]) ** 2).sum())
        if away < least:
            best, least = found.astype(np.int64), away
    return best
