"""Pixel L1 and MSE over a set of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cryoalign.metrics.distance import PairedDistance

if TYPE_CHECKING:
    from torch import Tensor


class PixelDistance(PairedDistance):
    """Mean absolute and mean square difference of the pixels of paired images.

    torchmetrics has both, but differences and sums are float32 there.
    """

    measure: ClassVar[str] = "pixel"

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
        self.add(difference.abs(), difference.square())
