"""The phase shift in another unit than degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis

_LINES = {
    "radians": "the phase shift of the metadata seems to be given in radians",
    "degrees": "the phase shift of the metadata seems to be converted to degrees twice",
}


@final
@dataclass(frozen=True)
class PhaseShift(Hypothesis):
    """The claimed phase shift converted, see `cryoalign.audit.transfer.Transfer.phase`."""

    unit: str
    family = "phase shift"
    kind = "CTF"
    remedy = "give it in degrees (rlnPhaseShift), and simulate anew"

    @classmethod
    def every(cls, basis: Basis) -> Iterator[PhaseShift]:
        if np.abs(basis.sample.raw.phase_shift).max() > 0:
            for unit in _LINES:
                yield cls(basis, unit)

    @property
    def name(self) -> str:
        return f"phase shift in {self.unit}"

    @property
    def line(self) -> str:
        return _LINES[self.unit]

    @property
    def treatment(self) -> Treatment:
        return self.basis.division

    def images(self) -> torch.Tensor:
        return self.basis.with_ctf(Transfer(self.basis.claimed.power, phase=self.unit))
