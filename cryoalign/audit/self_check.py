"""What simulated images say without the measured ones: the CTF, shifts, poses and order that they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.correlation import Estimate, Scorer, estimate
from cryoalign.audit.hypotheses import defocus
from cryoalign.audit.hypotheses.corrected import CorrectedCtf, CorrectedShift
from cryoalign.audit.hypotheses.hypothesis import Basis, Explanation
from cryoalign.audit.hypotheses.pose import PoseInverseInSim, predict_views
from cryoalign.audit.hypotheses.row_order import RowOrder, order_name
from cryoalign.audit.transfer import (
    ShiftFit,
    Transfer,
    carried_rows,
    carried_shift,
    carried_transfer,
    claimed_power,
    claims_no_ctf,
)
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Hypothesis
    from cryoalign.audit.sample import Sample

#: Sigma by which the spectra have to speak against the claimed CTF to raise a suspicion.
_DECISIVE = 6.0
_ROWS = 3.0  # sigma; only three other orders are asked for
_FOLLOWS = 0.1  # correlation with the map of other images that inverse poses have to reach
_ORDERS = {
    "next": "sim i + 1 belongs to row i",
    "previous": "sim i - 1 belongs to row i",
    "reversed": "in reversed order",
}


@dataclass(frozen=True)
class SelfCheck:
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


def check_simulated(sample: Sample, radius: float, *, poses: bool) -> SelfCheck:
    """Measure which CTF, shifts, poses and order the simulated images show.

    Parameters
    ----------
    sample : Sample
    radius : float
        Radius of the particle's circle as a fraction of half the box.
    poses : bool
        Test the poses too, the slowest part.
    """
    spectra = rfft2(sample.sims)
    claimed = Transfer(claimed_power(sample.sim))
    candidates = [claimed, *(Transfer(power) for power in (0, 1, 2) if power != claimed.power)]
    candidates += [Transfer(claimed.power, factor) for factor in (*defocus.FACTORS, 0.95, 1.05)]
    if np.abs(sample.sim.phase_shift).max() > 0:
        candidates += [Transfer(claimed.power, phase=phase) for phase in ("radians", "degrees")]
    fits = carried_transfer(spectra, sample.sim, sample.pixel_size, candidates, sample.groups)
    best = max(fits, key=lambda candidate: fits[candidate].likelihood)
    suspected = best if fits[best].gain.sigma > _DECISIVE else claimed
    pose = inverse = None
    if poses:
        scorer, basis = Scorer(sample.sims, radius), Basis(sample, suspected)
        pose, inverse = (_follows(scorer, basis, inverse=turned) for turned in (False, True))
    return SelfCheck(
        claimed=claimed,
        suspected=suspected,
        gain=fits[suspected].gain,
        rows={order: _row_gain(sample, spectra, images, claimed) for order, images in sample.shifted.items()},
        shift=carried_shift(spectra, sample.sim.shift / sample.pixel_size),
        pose=pose,
        inverse_pose=inverse,
    )


def _row_gain(sample: Sample, spectra: torch.Tensor, images: torch.Tensor, claimed: Transfer) -> Estimate:
    others = rfft2(images)
    return carried_rows(spectra, others, sample.sim, sample.pixel_size, claimed=claimed, groups=sample.groups)


def _follows(scorer: Scorer, basis: Basis, *, inverse: bool) -> Estimate:
    """Correlate each simulated image with the view, at its pose or the inverse, of a map of others."""
    seen = predict_views(basis, inverse_built=inverse, inverse_wanted=inverse)
    return estimate(scorer.correlation(scorer.rings(seen), 0.0), basis.sample.groups)


def corrections(sample: Sample, check: SelfCheck) -> Iterator[CorrectedCtf | CorrectedShift]:
    """Yield the CTF and the shifts that simulated images should have, where they seem to have others.

    The measured images confirm or contradict them.
    """
    basis = Basis(sample, check.suspected)
    if check.suspected != check.claimed and not claims_no_ctf(sample):
        yield CorrectedCtf(basis, check.claimed)
    if check.shift is not None and check.shift.off:
        yield CorrectedShift(basis, check.shift)


def contradictions(check: SelfCheck, corrected: Sequence[Hypothesis]) -> dict[str, Explanation]:
    """Explain where the simulated images seem to contradict their metadata.

    Parameters
    ----------
    check : SelfCheck
    corrected : sequence of Hypothesis
        See `corrections`.

    Returns
    -------
    dict of str to Explanation
        By the name of the hypothesis that corrects the simulated images, which the measured ones confirm or
        not: rows, poses, CTF and shifts, in this order.
    """
    found: dict[str, Explanation] = {}
    row = _other_order(check)
    if row is not None:
        found[row.mistake] = row
    if _inverse(check):
        name, line = PoseInverseInSim.name, "sim shows the inverse poses of its metadata"
        remedy = "invert the rotations (transpose the matrices) in the simulator, and simulate anew"
        found[name] = Explanation(name, PoseInverseInSim.family, line, remedy)
    return found | {hypothesis.name: hypothesis.explanation for hypothesis in corrected}


def _other_order(check: SelfCheck) -> Explanation | None:
    """Name another order of the rows by which the simulated images fit their metadata better."""
    order, gain = max(check.rows.items(), key=lambda entry: entry[1].sigma, default=(None, None))
    if order is None or gain is None or gain.sigma < _ROWS or gain.mean < check.gain.mean:
        return None
    line = f"sim's images are not in the order of its metadata: {_ORDERS[order]}"
    return Explanation(order_name(order), RowOrder.family, line, "simulate anew, or correct rlnImageName")


def _inverse(check: SelfCheck) -> bool:
    """Return whether images fit maps of each other at the inverse poses only."""
    if check.pose is None or check.inverse_pose is None:
        return False
    return check.inverse_pose.mean > max(_FOLLOWS, 2 * check.pose.mean)
