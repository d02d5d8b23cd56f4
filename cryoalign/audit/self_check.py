"""What simulated images say without the measured ones: the CTF, shifts, poses and order that they show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.audit.correlation import Estimate, Scorer, estimate
from cryoalign.audit.hypotheses import DEFOCUS, NEUTRAL_CTF, Hypothesis, bare, posed
from cryoalign.audit.transfer import (
    ShiftFit,
    Transfer,
    applied,
    carried_rows,
    carried_shift,
    carried_transfer,
    claimed_power,
    ctf_of,
    undone,
)
from cryoalign.physics.fourier import rfft2, shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.audit.sample import Sample

#: Sigma by which the spectra have to speak against the claimed CTF to raise a suspicion.
_DECISIVE = 6.0
#: Names of the hypotheses that sim differs from its metadata as it seems to: images are corrected for it.
CORRECTED_CTF = "sim with the CTF of its metadata"
CORRECTED_SHIFT = "sim with the shifts of its metadata"


@dataclass(frozen=True)
class Alone:
    """What the simulated images say without the measured ones.

    Attributes
    ----------
    claimed, suspected : Transfer
        The CTF that the metadata claim, and the one that the images seem to carry.
    gain : Estimate
        By how much better the latter fits, in log likelihood of the spectra.
    rows : mapping of str to Estimate
        By how much better, in log likelihood of the spectra, simulated images of other rows fit the claimed
        CTF.
    shift : ShiftFit or None
        How the images follow the claimed shifts.
    pose, inverse_pose : Estimate or None
        Mean correlation of each image with the view, at its pose, of a map of other images; with all poses as
        they are, and with all inverted. None where it was not tested.
    """

    claimed: Transfer
    suspected: Transfer
    gain: Estimate
    rows: dict[str, Estimate]
    shift: ShiftFit | None
    pose: Estimate | None
    inverse_pose: Estimate | None


def look_alone(sample: Sample, radius: float, *, poses: bool) -> Alone:
    """Ask the simulated images what they show.

    Parameters
    ----------
    sample : Sample
    radius : float
        Radius of the particle's circle as a fraction of half the box.
    poses : bool
        Test the poses too, the slowest part.

    Returns
    -------
    Alone
    """
    spectra = rfft2(sample.sims)
    claimed = Transfer(claimed_power(sample.sim))
    candidates = [claimed, *(Transfer(power) for power in (0, 1, 2) if power != claimed.power)]
    candidates += [Transfer(claimed.power, scale) for scale in (*DEFOCUS, 0.95, 1.05)]
    if np.abs(sample.sim.phase_shift).max() > 0:
        candidates += [Transfer(claimed.power, phase=phase) for phase in ("radians", "degrees")]
    fits = carried_transfer(spectra, sample.sim, sample.pixel_size, candidates, sample.groups)
    best = max(fits, key=lambda candidate: fits[candidate][0])
    suspected = best if fits[best][1].sigma > _DECISIVE else claimed
    pose = inverse = None
    if poses:
        selves = Scorer(sample.sims, radius)
        pose, inverse = (_follows(sample, selves, suspected, inverse=turned) for turned in (False, True))
    rows = {
        name: carried_rows(
            spectra, rfft2(images), sample.sim, sample.pixel_size, claimed=claimed, groups=sample.groups
        )
        for name, images in sample.shifted.items()
    }
    moved = carried_shift(spectra, sample.sim.shift / sample.pixel_size)
    return Alone(claimed, suspected, fits[suspected][1], rows, moved, pose, inverse)


def _follows(sample: Sample, selves: Scorer, carried: Transfer, *, inverse: bool) -> Estimate:
    """Correlate each simulated image with the view, at its pose or the inverse, of a map of others."""
    seen = posed(sample, carried, inverse_built=inverse, inverse_wanted=inverse)
    return estimate(selves.correlation(selves.rings(seen), 0.0), sample.groups)


def corrections(sample: Sample, alone: Alone) -> Iterator[Hypothesis]:
    """Bring simulated images to the CTF and the shifts that they should have, where they seem to have others.

    Parameters
    ----------
    sample : Sample
    alone : Alone

    Yields
    ------
    Hypothesis
        Which the measured images confirm or contradict.
    """
    spectra = rfft2(sample.sims)
    if alone.suspected != alone.claimed and not bare(sample):
        make = partial(_with_claimed_ctf, sample, spectra, alone)
        yield Hypothesis(CORRECTED_CTF, "CTF", make, neutral=NEUTRAL_CTF if alone.suspected.power > 0 else "")
    if alone.shift is not None and alone.shift.off:
        claim = sample.sim.shift / sample.pixel_size
        move = torch.from_numpy(claim @ (alone.shift.slope - np.eye(2)).T).float()
        yield Hypothesis(CORRECTED_SHIFT, "shift", partial(shift, spectra, move, sample.box))


def _with_claimed_ctf(sample: Sample, spectra: torch.Tensor, alone: Alone) -> torch.Tensor:
    suspected, claimed = alone.suspected, alone.claimed
    carried, wanted = (
        ctf_of(sample.sim, sample.box, sample.pixel_size, transfer) for transfer in (suspected, claimed)
    )
    if replace(suspected, power=claimed.power) == claimed:  # the same CTF, once or twice more or less
        more = claimed.power - suspected.power
        return spectra * (carried**more if more > 0 else undone(carried, Transfer(-more)))
    return spectra * undone(carried, suspected) * applied(wanted, claimed)
