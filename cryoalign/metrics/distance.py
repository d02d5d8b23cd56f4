"""What the distances of paired images have in common: L1 and MSE as sums and a count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torchmetrics import Metric

if TYPE_CHECKING:
    from torch import Tensor


class PairedDistance(Metric):
    """Mean absolute and mean square difference of something that paired images have.

    Sums and counts are float64, so that neither uneven batches nor several processes change the result.
    Subclasses say what is compared: they define `measure` and `update`.

    Parameters
    ----------
    **kwargs
        Of `torchmetrics.Metric`.

    Attributes
    ----------
    measure : str
        What the results are named after.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    measure: ClassVar[str]
    absolute: Tensor
    square: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("absolute", "square", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, absolute: Tensor, square: Tensor) -> None:
        """Add differences, one an element, as they are and squared.

        Parameters
        ----------
        absolute, square : (...) tensor
            Of the same shape.
        """
        self.absolute = self.absolute + absolute.double().sum()
        self.square = self.square + square.double().sum()
        self.count = self.count.double() + absolute.numel()

    def compute(self) -> dict[str, Tensor]:
        """Return the means.

        Returns
        -------
        dict of str to () float64 tensor
            "<measure>_L1" and "<measure>_MSE".
        """
        return {
            f"{self.measure}_L1": self.absolute / self.count,
            f"{self.measure}_MSE": self.square / self.count,
        }
