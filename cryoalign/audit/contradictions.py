"""Where simulated images contradict their own metadata, without a look at the measured ones, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.audit.self_check import CORRECTED_CTF, CORRECTED_SHIFT
from cryoalign.audit.wording import Finding, factor_words

if TYPE_CHECKING:
    from cryoalign.audit.check import Evidence
    from cryoalign.audit.self_check import Alone
    from cryoalign.audit.transfer import ShiftFit

_ROWS = 3.0  # sigma; only three other orders are asked for
_FOLLOWS = 0.1  # correlation with the map of other images that inverse poses have to reach
_PHASES = {
    "degrees": "pi/180 times it, as if radians had been taken for degrees",
    "radians": "180/pi times it, as if degrees had been taken for radians",
}
_TIMES = {0: "no CTF", 1: "the CTF once", 2: "the CTF twice"}


def own_findings(evidence: Evidence) -> dict[str, Finding]:
    """Describe where the simulated images seem to contradict their own metadata.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    dict of str to Finding
        By the key of the hypothesis that corrects the simulated images, which the measured ones confirm or
        not: rows, poses, CTF and shifts, in this order.
    """
    alone = evidence.alone
    words: dict[str, Finding] = {}
    row = _rows(alone)
    if row is not None:
        words[row.key] = row
    if _inverse(alone):
        words["pose inverse in sim"] = Finding(
            "pose inverse in sim",
            "pose",
            "sim shows the inverse poses of its metadata",
            "invert the rotations (transpose the matrices) in the simulator, and simulate anew",
        )
    if alone.suspected != alone.claimed and not evidence.bare:
        words[CORRECTED_CTF] = _transfer(alone)
    if alone.shift is not None and alone.shift.off:
        words[CORRECTED_SHIFT] = _shift(alone.shift, evidence.pixel_size)
    return words


def _rows(alone: Alone) -> Finding | None:
    """Name another order of the rows by which the simulated images fit their metadata better."""
    name, gain = max(alone.rows.items(), key=lambda entry: entry[1].sigma, default=(None, None))
    if name is None or gain is None or gain.sigma < _ROWS or gain.mean < alone.gain.mean:
        return None
    words = {
        "next": "sim i + 1 belongs to row i",
        "previous": "sim i - 1 belongs to row i",
        "reversed": "in reversed order",
    }
    line = f"sim's images are not in the order of its metadata: {words[name]}"
    return Finding(f"row: {name}", "rows", line, "simulate anew, or correct rlnImageName")


def _inverse(alone: Alone) -> bool:
    """Return whether images fit maps of each other at the inverse poses only."""
    if alone.pose is None or alone.inverse_pose is None:
        return False
    return alone.inverse_pose.mean > max(_FOLLOWS, 2 * alone.pose.mean)


def _transfer(alone: Alone) -> Finding:
    claimed, carried = alone.claimed, alone.suspected
    if carried.power != claimed.power:
        key = f"CTF power {carried.power}"
        # Smooth and alike in all images, the CTF of a tenth of the defocus cannot be told from none.
        like = ", or one of a small fraction of the claimed defocus, which looks alike" * (not carried.power)
        text = f"sim carries {_TIMES[carried.power]}{like}; its metadata claim {_TIMES[claimed.power]}"
    elif carried.scale != 1:
        key = f"sim defocus x {carried.scale:g}"
        text = f"sim does not have the defocus that its metadata claim, but about {carried.scale:g} times it"
    else:
        key = f"sim phase in {carried.phase}"
        text = f"sim does not have the phase shift that its metadata claim, but {_PHASES[carried.phase]}"
    return Finding(key, "CTF", text, "simulate anew with the CTF of the metadata")


def _shift(fit: ShiftFit, pixel_size: float) -> Finding:
    slopes = np.diag(fit.slope)
    if np.abs(fit.slope - np.diag(slopes)).max() > 0.5:
        text = "sim was made with x and y of the shifts exchanged"
    elif abs(slopes[0] - slopes[1]) > 0.3:
        x, y = slopes.tolist()
        text = f"sim was made with {x:+.2f} times the claimed shift along x and {y:+.2f} times along y"
    else:
        text = f"in sim the claimed shifts have {factor_words(float(slopes.mean()), pixel_size)}"
    remedy = (
        "apply the shifts as RELION means them (A; the content sits at minus the origin), and simulate anew"
    )
    return Finding("sim shift", "shift", text, remedy)
