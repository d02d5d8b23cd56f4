"""The raw metadata are right where the two disagree, and sim does not follow them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.hypotheses.pose import predict_views
from cryoalign.physics.fourier import shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoalign.audit.hypotheses.hypothesis import Basis


@final
@dataclass(frozen=True)
class AsRaw(Hypothesis):
    """Simulated images brought to what the raw metadata claim.

    Attributes
    ----------
    quantity : str
        ``CTF``, ``shift`` or ``pose``.
    change : callable
        Returns the images.
    """

    quantity: str
    change: Callable[[Basis], torch.Tensor]
    remedy = "simulate anew from the raw metadata"

    @classmethod
    def ctf(cls, basis: Basis) -> AsRaw:
        return cls(basis, "CTF", lambda basis: basis.with_ctf(basis.claimed))

    @classmethod
    def shift(cls, basis: Basis) -> AsRaw:
        return cls(basis, "shift", _moved)

    @classmethod
    def pose(cls, basis: Basis) -> AsRaw:
        return cls(
            basis, "pose", lambda basis: predict_views(basis, inverse_built=False, inverse_wanted=False)
        )

    @property
    def name(self) -> str:
        return f"{self.quantity} as the raw metadata claim"

    @property
    def family(self) -> str:
        return self.quantity

    @property
    def line(self) -> str:
        return f"the {self.quantity} of sim is not the one that the raw metadata claim, which fits raw"

    @property
    def treatment(self) -> Treatment:
        return self.basis.division if self.quantity == "CTF" else Treatment.NONE

    def images(self) -> torch.Tensor:
        return self.change(self.basis)


def _moved(basis: Basis) -> torch.Tensor:
    sample = basis.sample
    move = torch.from_numpy((sample.sim.shift - sample.raw.shift) / sample.pixel_size).float()
    return shift(basis.spectra, move, sample.box)
