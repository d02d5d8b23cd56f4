"""Ring correlation over a set of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchmetrics import Metric

from cryoalign.physics.spectrum import correlation_ratio, ring_correlation_sums, ring_count

if TYPE_CHECKING:
    from torch import Tensor


class RingCorrelation(Metric):
    """Fourier ring correlation of paired images as one ratio of ring sums over the whole set.

    The sums are float64 and add up over batches and processes; a mean of each image's correlation would be
    another number, biased by images with little power.

    Parameters
    ----------
    box : int
        Image size in px.
    **kwargs
        Of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    cross: Tensor
    power_images: Tensor
    power_reference: Tensor

    def __init__(self, box: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("cross", "power_images", "power_reference"):
            self.add_state(name, torch.zeros(ring_count(box), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, reference: Tensor) -> None:
        """Add images.

        Parameters
        ----------
        images, reference : (..., N, N) tensor
            As many of the one as of the other, of the metric's box.
        """
        sums = [part.double().flatten(0, -2).sum(0) for part in ring_correlation_sums(images, reference)]
        self.cross = self.cross + sums[0]
        self.power_images = self.power_images + sums[1]
        self.power_reference = self.power_reference + sums[2]

    def compute(self) -> Tensor:
        """Return the curve.

        Returns
        -------
        (R,) float64 tensor
            Ring 0, the image's mean, included.
        """
        return correlation_ratio(self.cross, self.power_images, self.power_reference)
