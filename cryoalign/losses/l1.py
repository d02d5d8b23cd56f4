"""The mean absolute difference of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.losses.score import Score, absolute_difference

if TYPE_CHECKING:
    from torch import Tensor


class PixelL1(Score):
    """``mean |fake - raw|``, pixel by pixel: the paper's.

    It is least for the median of what raw could be, which has no noise: realistic noise makes it worse.
    """

    title = "L1"

    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:  # noqa: ARG002, D102  inherited
        return absolute_difference(fake, raw).mean()
