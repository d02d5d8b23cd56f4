"""Every hypothesis about a set of pairs, in the order of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.audit.hypotheses.as_raw import AsRaw
from cryoalign.audit.hypotheses.ctf_power import every_power
from cryoalign.audit.hypotheses.defocus import Defocus
from cryoalign.audit.hypotheses.flip import Contrast, Flip
from cryoalign.audit.hypotheses.phase_shift import PhaseShift
from cryoalign.audit.hypotheses.pixel_size import every_magnification
from cryoalign.audit.hypotheses.pose import PoseInverseInMetadata, PoseInverseInSim
from cryoalign.audit.hypotheses.row_order import RowOrder
from cryoalign.audit.hypotheses.shift import Shift
from cryoalign.audit.transfer import claims_no_ctf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.audit.hypotheses.hypothesis import Basis, Hypothesis


def every_hypothesis(basis: Basis, *, poses: bool = True) -> Iterator[Hypothesis]:
    """Yield every way in which these pairs may be wrong.

    Parameters
    ----------
    basis : Basis
    poses : bool
        Make maps of the simulated images and test the poses: the slowest part.
    """
    disagree = basis.sample.disagreement is not None
    yield Contrast(basis)
    yield from Flip.every(basis)
    yield from RowOrder.every(basis)
    yield from Shift.every(basis)
    yield from every_magnification(basis)
    if basis.carried != basis.claimed or disagree:
        yield AsRaw.ctf(basis)
    if not claims_no_ctf(basis.sample):
        yield from every_power(basis)
        yield from Defocus.every(basis)
        yield from PhaseShift.every(basis)
    if disagree:
        yield AsRaw.shift(basis)
    if poses:
        if disagree:
            yield AsRaw.pose(basis)
        yield PoseInverseInSim(basis)
        yield PoseInverseInMetadata(basis)
