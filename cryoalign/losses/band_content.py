"""How far the mean fake is from raw, in whitened bands: content without a price on noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.losses.bands import WhitenedBands
from cryoalign.losses.score import Score, needed

if TYPE_CHECKING:
    from torch import Tensor


class BandContent(Score):
    """``(f - y)(f' - y)``, pixel by pixel in each whitened band.

    f and f' are two fakes of one sim, y its raw image. Since the draws are independent, the mean is
    ``(E f - y)^2``: least where the mean of all fakes of a sim is the mean of all raw images that could
    belong to it. How much noise a fake has does not enter. Below 0 in single batches.

    Parameters
    ----------
    bands : int
        Number of octaves; see `WhitenedBands`.
    """

    title = "content"
    two_draws = True
    fitted = True

    def __init__(self, bands: int = 4) -> None:
        super().__init__()
        self.bands = WhitenedBands(bands, "loss.content.bands")

    def fit(self, raw: Tensor) -> None:  # noqa: D102  inherited
        self.bands.fit(raw)

    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:  # noqa: D102  inherited
        f, y, other = (self.bands(images) for images in (fake, raw, needed(second)))
        score: Tensor = ((f - y) * (other - y)).mean()
        return score
