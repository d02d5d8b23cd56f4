"""Simulated images brought to their metadata where they seem not to follow them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch

from cryoalign.audit.hypotheses.hypothesis import Hypothesis, Treatment
from cryoalign.audit.hypotheses.shift import describe_factor
from cryoalign.audit.transfer import ShiftFit, Transfer, applied, ctf_of, undone
from cryoalign.physics.fourier import shift

_PHASES = {
    "degrees": "pi/180 times it, as if radians had been taken for degrees",
    "radians": "180/pi times it, as if degrees had been taken for radians",
}
_TIMES = {0: "no CTF", 1: "the CTF once", 2: "the CTF twice"}


@final
@dataclass(frozen=True)
class CorrectedCtf(Hypothesis):
    """The carried CTF replaced by the one that the simulated images' metadata claim.

    Attributes
    ----------
    wanted : Transfer
        What these metadata claim; the basis holds what the images seem to carry.
    """

    wanted: Transfer
    name = "sim with the CTF of its metadata"
    family = "CTF"

    @property
    def remedy(self) -> str:
        if self.basis.sample.follows:
            return (
                "correct amplitude contrast, phase shift and defocus in the metadata of raw (mostly 0.07 to "
                "0.1, and 0 degrees without a phase plate), and simulate anew"
            )
        return "simulate anew with the CTF of the metadata"

    @property
    def mistake(self) -> str:
        carried = self.basis.carried
        if self.certain:
            return f"CTF power {carried.power}"
        return f"sim defocus x {carried.scale:g}" if carried.scale != 1 else f"sim phase in {carried.phase}"

    @property
    def line(self) -> str:
        if self.basis.sample.follows:
            return (
                "the CTF of the metadata looks wrong (amplitude contrast, phase shift or defocus): cryoalign "
                f"simulated with it, and {self._seen}"
            )
        return self._seen

    @property
    def _seen(self) -> str:
        carried = self.basis.carried
        if self.certain:
            # At a tenth of the defocus the CTF is smooth and alike in all images, as if there were none.
            like = ", or one of a small fraction of the claimed defocus, which looks alike"
            found = _TIMES[carried.power] + (like if carried.power == 0 else "")
            return f"sim carries {found}; its metadata claim {_TIMES[self.wanted.power]}"
        if carried.scale != 1:
            return (
                f"sim does not have the defocus that its metadata claim, but about {carried.scale:g} times it"
            )
        return f"sim does not have the phase shift that its metadata claim, but {_PHASES[carried.phase]}"

    @property
    def certain(self) -> bool:
        """Whether the CTF was applied more or less often: another defocus may have other causes."""
        return self.basis.carried.power != self.wanted.power

    @property
    def treatment(self) -> Treatment:
        return self.basis.division

    def images(self) -> torch.Tensor:
        carried, wanted, sample = self.basis.carried, self.wanted, self.basis.sample
        once = self.basis.ctf
        if replace(carried, power=wanted.power) == wanted:  # the same CTF, once or twice more or less
            more = wanted.power - carried.power
            return self.basis.spectra * (once**more if more > 0 else undone(once, Transfer(-more)))
        claimed = ctf_of(sample.sim, sample.box, sample.pixel_size, wanted)
        return self.basis.spectra * undone(once, carried) * applied(claimed, wanted)


@final
@dataclass(frozen=True)
class CorrectedShift(Hypothesis):
    """Images moved to where the simulated images' metadata claim that they are."""

    fit: ShiftFit
    name = "sim with the shifts of its metadata"
    mistake = "sim shift"
    family = "shift"
    remedy = (
        "apply the shifts as RELION means them (A; the content sits at minus the origin), and simulate anew"
    )

    @property
    def line(self) -> str:
        slopes = np.diag(self.fit.slope)
        if np.abs(self.fit.slope - np.diag(slopes)).max() > 0.5:
            return "sim was made with x and y of the shifts exchanged"
        if abs(slopes[0] - slopes[1]) > 0.3:
            x, y = slopes.tolist()
            return f"sim was made with {x:+.2f} times the claimed shift along x and {y:+.2f} times along y"
        effect = describe_factor(float(slopes.mean()), self.basis.original_pixel_size)
        return f"in sim the claimed shifts have {effect}"

    def images(self) -> torch.Tensor:
        claim = self.basis.sample.sim.shift / self.basis.sample.pixel_size
        move = torch.from_numpy(claim @ (self.fit.slope - np.eye(2)).T).float()
        return shift(self.basis.spectra, move, self.basis.sample.box)
