"""The noise maps that a generator may take as extra input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


def noise_maps(seed: int, identity: Tensor, draw: Tensor, *, channels: int, box: int) -> Tensor:
    """Draw standard normal maps that depend on (seed, identity, draw) alone.

    Rows, batch size, worker and device count do not enter, so that a fake can be made again.

    Parameters
    ----------
    seed : int
    identity, draw : (B,) int64
        Who the particle is, and which of its draws.
    channels : int
        Maps for each particle.
    box : int
        Size in px.

    Returns
    -------
    (B, channels, box, box) float32
        On the CPU.
    """
    maps = torch.empty(len(identity), channels, box, box)
    for place, stream in enumerate(streams(seed, identity, draw)):
        maps[place].normal_(generator=stream)
    return maps


def streams(seed: int, identity: Tensor, draw: Tensor, *purpose: int) -> list[torch.Generator]:
    """Start the random numbers of each particle and draw; other purposes have numbers of their own."""
    states = [
        np.random.SeedSequence([seed, who, number, *purpose]).generate_state(1, np.uint64)[0]
        for who, number in zip(identity.tolist(), draw.tolist(), strict=True)
    ]
    return [torch.Generator().manual_seed(int(state >> np.uint64(1))) for state in states]
