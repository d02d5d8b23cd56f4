"""Pixel L1 and MSE over a set of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchmetrics import Metric

if TYPE_CHECKING:
    from torch import Tensor


class PixelDistance(Metric):
    """Mean absolute and mean square difference of the pixels of paired images.

    torchmetrics has both, but differences and sums are float32 there. Here sums and counts are float64, so
    that neither uneven batches nor several processes change the result.

    Parameters
    ----------
    **kwargs
        Of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    absolute: Tensor
    square: Tensor
    pixels: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("absolute", "square", "pixels"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, reference: Tensor) -> None:
        """Add images.

        Parameters
        ----------
        images, reference : (..., N, N) tensor
            As many of the one as of the other.

        Raises
        ------
        ValueError
            If their shapes differ.
        """
        if images.shape != reference.shape:
            raise ValueError(f"images {tuple(images.shape)} against {tuple(reference.shape)}")
        difference = images.double() - reference.double()
        self.absolute = self.absolute + difference.abs().sum()
        self.square = self.square + difference.square().sum()
        self.pixels = self.pixels.double() + difference.numel()

    def compute(self) -> dict[str, Tensor]:
        """Give the means.

        Returns
        -------
        dict of str to () float64 tensor
            "pixel_L1" and "pixel_MSE".
        """
        return {"pixel_L1": self.absolute / self.pixels, "pixel_MSE": self.square / self.pixels}
