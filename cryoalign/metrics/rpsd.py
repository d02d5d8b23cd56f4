"""RPSD L1 and MSE over a set of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchmetrics import Metric

from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class RPSDDistance(Metric):
    """Distance of the radial log power spectra of paired images: means over rings, then over images.

    The curves and their distance are those of `cryoalign.physics.spectrum`, which the loss uses too; sums and
    counts are float64, so that neither uneven batches nor several processes change the result.

    Parameters
    ----------
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform; "backward" is unnormalized.
    **kwargs
        Of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    absolute: Tensor
    square: Tensor
    images: Tensor

    def __init__(self, norm: Norm = "backward", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm: Norm = norm
        for name in ("absolute", "square", "images"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, reference: Tensor) -> None:
        """Add images.

        Parameters
        ----------
        images, reference : (..., N, N) tensor
            As many of the one as of the other.
        """
        curves, target = radial_log_power(images, self.norm), radial_log_power(reference, self.norm)
        self.absolute = self.absolute + rpsd_distance(curves, target, 1).double().sum()
        self.square = self.square + rpsd_distance(curves, target, 2).double().sum()
        self.images = self.images.double() + curves[..., 0].numel()

    def compute(self) -> dict[str, Tensor]:
        """Give the means.

        Returns
        -------
        dict of str to () float64 tensor
            "RPSD_L1" and "RPSD_MSE".
        """
        return {"RPSD_L1": self.absolute / self.images, "RPSD_MSE": self.square / self.images}
