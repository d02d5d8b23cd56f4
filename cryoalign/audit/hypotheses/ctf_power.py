"""The CTF applied more often, less often, or by its sign only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.transfer import Transfer, claimed_power, undone

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis

_NAMES = {
    1: "CTF once more in raw",
    -1: "CTF once less in raw",
    2: "CTF twice more in raw",
    -2: "CTF twice less in raw",
}
_FLAG = "simulate with rlnCtfDataAreCtfPremultiplied as it is for raw"
_REMEDIES = {
    1: _FLAG,
    -1: _FLAG,
    2: "simulate with the CTF",
    -2: "use the images before CTF correction",
}


@final
@dataclass(frozen=True)
class CtfPower(Hypothesis):
    """Raw carries the CTF `more` times more often than sim; negative for less often."""

    more: int
    family = "CTF"

    @property
    def name(self) -> str:
        return _NAMES[self.more]

    @property
    def line(self) -> str:
        if self.more == 2:
            return "sim carries no CTF, raw carries it twice"
        if self.more == -2:
            return "sim carries a CTF, twice; raw none"
        twice = claimed_power(self.basis.sample.sim) == 2
        if self.more > 0:
            not_twice = "raw is premultiplied, or sim has no CTF"
            cause = "sim was not made as premultiplied" if twice else not_twice
            return f"raw carries the CTF once more than sim: {cause}"
        cause = "raw is not premultiplied" if twice else "sim is premultiplied, or raw CTF-corrected"
        return f"sim carries the CTF once more than raw: {cause}"

    @property
    def remedy(self) -> str:
        return _REMEDIES[self.more]

    @property
    def treatment(self) -> Treatment:
        return Treatment.CTF if self.more < 0 else Treatment.NONE

    def images(self) -> torch.Tensor:
        once = self.basis.ctf
        if self.more < 0:
            return self.basis.spectra * undone(once, Transfer(-self.more))
        return self.basis.spectra * once**self.more


@final
@dataclass(frozen=True)
class PhaseFlipped(Hypothesis):
    """Raw was multiplied by the sign of its CTF."""

    name = "phases of raw flipped"
    family = "CTF"
    line = "raw seems to be phase-flipped, sim is not"
    remedy = "use the images before phase flipping"

    def images(self) -> torch.Tensor:
        return self.basis.spectra * self.basis.ctf.sign()


def every_power(basis: Basis) -> Iterator[Hypothesis]:
    """Yield the powers that may be meant, by what the raw metadata claim."""
    yield CtfPower(basis, 1)
    yield CtfPower(basis, -1)
    if basis.claimed.power == 2:
        yield CtfPower(basis, 2)
        yield CtfPower(basis, -2)
    elif basis.carried == basis.claimed:
        yield PhaseFlipped(basis)
