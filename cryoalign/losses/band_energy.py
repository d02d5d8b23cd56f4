"""The energy score of pixels, in whitened bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.losses.bands import WhitenedBands
from cryoalign.losses.score import Score, absolute_difference, energy_score, needed

if TYPE_CHECKING:
    from torch import Tensor


class BandEnergy(Score):
    """``E|f - y| - 1/2 E|f - f'|``, pixel by pixel in each whitened band: takes the place of L1.

    f and f' are two fakes of one sim, y its raw image. A mean over pixels, images and bands. It is least
    where each pixel of each band is distributed as raw's given sim: content, power and shape of the grey
    values count. What pixels have to do with each other does not: a wave of random amplitude and phase has
    the same marginals as noise.

    Parameters
    ----------
    bands : int
        Number of octaves; see `WhitenedBands`.
    """

    title = "energy"
    two_draws = True
    fitted = True

    def __init__(self, bands: int = 4) -> None:
        super().__init__()
        self.bands = WhitenedBands(bands, "loss.energy.bands")

    def fit(self, raw: Tensor) -> None:  # noqa: D102  inherited
        self.bands.fit(raw)

    def forward(self, fake: Tensor, raw: Tensor, second: Tensor | None = None) -> Tensor:  # noqa: D102  inherited
        seen = (self.bands(images) for images in (fake, raw, needed(second)))
        return energy_score(absolute_difference, *seen)
