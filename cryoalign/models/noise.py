"""The noise maps that a generator may take as extra input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


def noise_maps(seed: int, index: Tensor, draw: Tensor, *, channels: int, box: int) -> Tensor:
    """Draw standard normal maps that depend on (seed, index, draw) alone.

    Batch size, worker and device count do not enter, so that a fake can be made again.

    Parameters
    ----------
    seed : int
        Of the run.
    index, draw : (B,) int64
        Which particle, and which of its draws.
    channels : int
        Maps for each particle.
    box : int
        Size in px.

    Returns
    -------
    (B, channels, box, box) float32
        On the CPU.
    """
    maps = torch.empty(len(index), channels, box, box)
    for place, (particle, number) in enumerate(zip(index.tolist(), draw.tolist(), strict=True)):
        state = np.random.SeedSequence([seed, particle, number]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        maps[place].normal_(generator=generator)
    return maps
