"""The moving average of a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


class MovingAverage(AveragedModel):
    """An exponential moving average, never trained, whose count stays on the host.

    torch's own asks at every step whether it is the first; where the count lies on a GPU, that is to wait for
    all that it still has to do.

    Parameters
    ----------
    model : nn.Module
    decay : float
        0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        super().__init__(model, multi_avg_fn=average, use_buffers=True)
        self.requires_grad_(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        count = self.n_averaged
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.n_averaged = count
        return self
