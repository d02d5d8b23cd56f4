"""Images mirrored, turned and magnified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator


def turns(images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Mirror and turn about pixel ``N // 2``; the mirror images also about the middle of an even box.

    Parameters
    ----------
    images : (n, N, N) tensor

    Yields
    ------
    name : str
    images : (n, N, N) tensor
    """
    shift_even = 1 if images.shape[-1] % 2 == 0 else 0

    def flip(values: torch.Tensor, *dims: int) -> torch.Tensor:
        return values.flip(dims).roll([shift_even] * len(dims), dims)

    across = images.mT
    yield "flip y", flip(images, -2)
    yield "flip x", flip(images, -1)
    yield "transpose", across
    yield "rotate 180", flip(images, -2, -1)
    yield "rotate 90", flip(across, -2)
    yield "rotate 270", flip(across, -1)
    yield "transpose, rotate 180", flip(across, -2, -1)
    if shift_even:
        yield "flip y about the middle of the box", images.flip(-2)
        yield "flip x about the middle of the box", images.flip(-1)


def rescale(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Magnify images about pixel ``N // 2``, by bicubic interpolation.

    Parameters
    ----------
    images : (n, N, N) tensor
    factor : float
        Above 1, the content becomes larger.

    Returns
    -------
    (n, N, N) tensor
        Zeros where nothing is known.
    """
    box = images.shape[-1]
    axis = (torch.arange(box) - box // 2) / factor + box // 2
    place = (2 * axis + 1) / box - 1
    y, x = torch.meshgrid(place, place, indexing="ij")
    grid = torch.stack([x, y], -1).float().expand(len(images), -1, -1, -1)
    background = images.mean((-2, -1), keepdim=True)
    return F.grid_sample((images - background)[:, None], grid, mode="bicubic", align_corners=False)[:, 0]
