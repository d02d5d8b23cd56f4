"""A map on the grid of another: any voxel size, any box."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def resample_volume(volume: Tensor, pixel_size: float, *, box: int, new_pixel_size: float) -> Tensor:
    """Sample a map on another grid by trigonometric interpolation, which is exact for what both can hold.

    Where the ratio of the voxel sizes is that of two whole boxes of one span,
    `cryoalign.physics.fourier.fourier_resize_volume` does the same by a transform. Frequencies beyond the
    Nyquist frequency of either grid are left out along each axis; voxels beyond the map's own box are zero,
    not its repetition.

    Parameters
    ----------
    volume : (M, M, M) tensor
        Axes [z, y, x], origin at voxel ``M // 2``.
    pixel_size : float
        Its voxel size in A.
    box : int
        Size N of the new grid in voxels.
    new_pixel_size : float
        Its voxel size in A.

    Returns
    -------
    (N, N, N) tensor
        Origin at voxel ``N // 2``.

    Examples
    --------
    >>> same = resample_volume(torch.ones(4, 4, 4), 2.0, box=8, new_pixel_size=1.0)
    >>> bool(((same - 1).abs() < 1e-6).all())
    True
    """
    matrix = _interpolation(len(volume), pixel_size, box, new_pixel_size).to(volume)
    for _ in range(3):  # contracts the first axis and appends the new one: in the end their order is back
        volume = torch.tensordot(volume, matrix, ([0], [1]))
    return volume


def _interpolation(size: int, pixel_size: float, box: int, new_pixel_size: float) -> Tensor:
    """Return (box, size) what each new voxel of a line takes of each old one."""
    known = torch.arange(size, dtype=torch.float64) - size // 2
    wanted = (torch.arange(box, dtype=torch.float64) - box // 2) * (new_pixel_size / pixel_size)
    highest = min(size // 2, math.floor(size * pixel_size / (2 * new_pixel_size) + 1e-6))
    numbers = torch.arange(highest + 1, dtype=torch.float64)
    weights = torch.full_like(numbers, 2 / size)
    weights[0] = 1 / size
    if 2 * highest == size:  # stands for +k and -k
        weights[-1] = 1 / size
    phase = 2 * math.pi / size * numbers
    new, old = (torch.outer(places, phase) for places in (wanted, known))
    matrix = (weights * new.cos()) @ old.cos().T + (weights * new.sin()) @ old.sin().T
    # Half a voxel beyond its outermost ones ends the map.
    inside = (wanted > known[0] - 0.5 - 1e-6) & (wanted < known[-1] + 0.5 + 1e-6)
    return matrix * inside[:, None]
