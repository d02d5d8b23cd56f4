"""The particle's circle: its background, and soft masks with a raised cosine in place of an edge."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def raised_cosine(distance: Tensor, end: float | Tensor, edge: float | Tensor) -> Tensor:
    """Fall from 1 to 0 over the width of an edge.

    Parameters
    ----------
    distance : (...) tensor
    end : float or tensor
        Where 0 is reached, in units of the distance.
    edge : float or tensor
        Width of the fall before it.

    Returns
    -------
    (...) tensor, 0 to 1.
    """
    values: Tensor = 0.5 + 0.5 * torch.cos(math.pi * ((distance - end + edge) / edge).clamp(0, 1))
    return values


def soft_circle(box: int, radius: float, edge: float) -> Tensor:
    """Return a circle about pixel ``N // 2`` with a raised-cosine edge inside `radius`.

    Parameters
    ----------
    box : int
        N in px.
    radius : float
        Where the circle ends, as a fraction of half the box.
    edge : float
        Width of its edge, as a fraction of half the box.

    Returns
    -------
    (N, N) float32 tensor
        1 inside, 0 outside.

    Examples
    --------
    >>> soft_circle(8, radius=0.8, edge=0.4)[4]  # the middle row
    tensor([0.0000, 0.0381, 0.8536, 1.0000, 1.0000, 1.0000, 0.8536, 0.0381])
    """
    axis = (torch.arange(box) - box // 2) / (box / 2)
    return raised_cosine(torch.hypot(axis[:, None], axis[None]), radius, edge)


@lru_cache(maxsize=8)
def background(box: int, radius: float) -> NDArray[np.bool_]:
    """Mark what lies outside the particle's circle, which is centred on pixel ``N // 2``.

    Parameters
    ----------
    box : int
        N in px.
    radius : float
        Of the circle, as a fraction of half the box.

    Returns
    -------
    (N, N) bool
    """
    axis = np.arange(box) - box // 2
    mask: NDArray[np.bool_] = np.hypot(axis[:, None], axis[None, :]) > radius * box / 2
    return mask
