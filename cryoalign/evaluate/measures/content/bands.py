"""Bands of resolution that rings are added up in."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from cryoalign.physics.spectrum import normalized_radius

if TYPE_CHECKING:
    from torch import Tensor

#: Edges of the frequency bands, as fractions of Nyquist; the mean of the image lies in none.
BANDS = (0.0, 0.125, 0.25, 0.5, 1.0)


def band_masks(box: int, pixel_size: float) -> list[tuple[str, Tensor]]:
    """Name the bands by their resolution and mark their rings.

    Parameters
    ----------
    box : int
    pixel_size : float
        In A.

    Returns
    -------
    list of (str, (R,) bool tensor)
        Bands without rings are left out.
    """
    radius = normalized_radius(box, dtype=torch.float64)
    masks = {}
    for low, high in pairwise(BANDS):
        limits = [f"{2 * pixel_size / u:.3g}" for u in (low, high) if u]
        name = f"{' to '.join(limits)} Å" if low else f"coarser than {limits[0]} Å"
        masks[name] = (radius > low) & (radius <= high)
    return [(name, mask) for name, mask in masks.items() if mask.any()]
