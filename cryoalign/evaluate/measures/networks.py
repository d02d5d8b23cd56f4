"""What networks that measures train have in common: weights from a seed, images turned at random."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Network = TypeVar("Network", bound=nn.Module)

_drawing_weights = threading.Lock()  # from the global random state, which threads share


def seeded(build: Callable[[], Network], seed: int) -> Network:
    """Build a network with weights that depend on the seed alone; the global random state stays as it was.

    Parameters
    ----------
    build : callable
    seed : int

    Returns
    -------
    torch.nn.Module
    """
    with _drawing_weights, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def turned(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip and turn images by one of the eight symmetries of the square each.

    Parameters
    ----------
    images : (B, ..., S, S) tensor
        All those of one entry are turned alike.
    generator : torch.Generator

    Returns
    -------
    (B, ..., S, S) tensor
    """
    draw = torch.randint(8, (len(images),), generator=generator)
    found = torch.empty_like(images)
    for number in range(8):
        chosen = draw == number
        part = torch.rot90(images[chosen], number % 4, (-2, -1))
        found[chosen] = part.flip(-1) if number >= 4 else part
    return found
