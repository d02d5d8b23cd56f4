"""Another defocus than the metadata claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis

#: On the defocus.
FACTORS = (-1.0, 0.1, 0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0, 10.0)


@final
@dataclass(frozen=True)
class Defocus(Hypothesis):
    """The claimed defocus multiplied."""

    by: float
    family = "defocus"
    kind = "CTF"
    scan = "defocus"

    @classmethod
    def every(cls, basis: Basis) -> Iterator[Defocus]:
        return (cls(basis, factor) for factor in FACTORS if factor != basis.carried.scale)

    @property
    def name(self) -> str:
        return f"defocus x {self.by:g}"

    @property
    def value(self) -> float:
        return self.by

    @property
    def line(self) -> str:
        if self.by == -1:
            return "the defocus has the wrong sign"
        return f"the defocus of the metadata, and of sim, has to be multiplied by {self.by:g} to fit raw"

    @property
    def remedy(self) -> str:
        if self.by == -1:
            return "give underfocus as positive, and simulate anew"
        return "check defocus (A), voltage, amplitude contrast and phase shift, and simulate anew"

    @property
    def treatment(self) -> Treatment:
        return self.basis.division

    def images(self) -> torch.Tensor:
        return self.basis.with_ctf(Transfer(self.basis.claimed.power, self.by))
