"""RPSD L1 and MSE over a set of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cryoalign.metrics.distance import PairedDistance
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class RPSDDistance(PairedDistance):
    """Distance of the radial log power spectra of paired images: means over rings, then over images.

    The curves and their distance are those of `cryoalign.physics.spectrum`, which the loss uses too.

    Parameters
    ----------
    norm : {"backward", "ortho", "forward"}
        Of the Fourier transform; "backward" is unnormalized.
    **kwargs
        Of `torchmetrics.Metric`.
    """

    measure: ClassVar[str] = "RPSD"

    def __init__(self, norm: Norm = "backward", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm: Norm = norm

    def update(self, images: Tensor, reference: Tensor) -> None:
        """Add images.

        Parameters
        ----------
        images, reference : (..., N, N) tensor
            As many of the one as of the other.
        """
        curves, target = radial_log_power(images, self.norm), radial_log_power(reference, self.norm)
        self.add(rpsd_distance(curves, target, 1), rpsd_distance(curves, target, 2))
