"""Rows in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from cryoalign.audit.hypotheses.hypothesis import Hypothesis
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis

_LINES = {
    "next": "rows are off by one (raw i shows sim i + 1)",
    "previous": "rows are off by one (raw i shows sim i - 1)",
    "reversed": "rows are in reversed order",
}


@final
@dataclass(frozen=True)
class RowOrder(Hypothesis):
    """Each raw image belongs to the simulated one of another row: ``next``, ``previous`` or ``reversed``."""

    order: str
    family = "rows"
    remedy = "write rlnImageOriginalName for each simulated image, or simulate these raw particles anew"

    @classmethod
    def every(cls, basis: Basis) -> Iterator[RowOrder]:
        return (cls(basis, order) for order in basis.sample.shifted)

    @property
    def name(self) -> str:
        return order_name(self.order)

    @property
    def line(self) -> str:
        return _LINES[self.order]

    def images(self) -> torch.Tensor:
        return rfft2(self.basis.sample.shifted[self.order])


def order_name(order: str) -> str:
    """Name the hypothesis that rows are in this order."""
    return f"row: {order}"
