"""The moving average of a generator."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Self

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


class MovingAverage(AveragedModel):
    """An exponential moving average, never trained, whose count stays on the host.

    torch's own asks at every step whether it is the first, and copies its count to the device: where that is
    a GPU, each is to wait for all that it still has to do.

    Parameters
    ----------
    model : nn.Module
    decay : float
        0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.requires_grad_(False)
        self._move: Callable[[list[Tensor], list[Tensor], None], None] = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards a model, whose copy it is at first."""
        groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        ours, theirs = (chain(each.parameters(), each.buffers()) for each in (self.module, model))
        for averaged, value in zip(ours, theirs, strict=True):
            if self.n_averaged == 0:
                averaged.copy_(value)
            else:
                of_type = groups.setdefault(value.dtype, ([], []))
                of_type[0].append(averaged.detach())
                of_type[1].append(value.detach())
        for averages, values in groups.values():
            self._move(averages, values, None)
        self.n_averaged += 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        count = self.n_averaged
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.n_averaged = count
        return self
