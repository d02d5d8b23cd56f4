"""Angles that can only be in another unit: degrees and radians taken for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import from_cryosparc

if TYPE_CHECKING:
    from cryoalign.particles import Particles

_LARGEST_ANGLE = 3600.0  # degrees; programs write a turn or two at the most
_LARGEST_PHASE = 360.0  # degrees
_FEWEST_ANGLES, _SPREAD = 20, 0.5  # rows, and standard deviation of rot and psi in radians, to know a unit by


def refuse_angles(particles: Particles) -> None:
    """Refuse poses beyond ten turns, and those of 20 rows or more, rot and psi spread, all within pi."""
    angles = np.abs(particles.angles)
    row, column = (int(place) for place in np.unravel_index(angles.argmax(), angles.shape))
    name = ("rot", "tilt", "psi")[column]
    if angles[row, column] > _LARGEST_ANGLE:
        raise InputError(
            f"the angle {name} is not possible",
            file=particles.source,
            row=int(particles.row[row]),
            expected=f"degrees, and {_LARGEST_ANGLE:g} at the most",
            found=f"{particles.angles[row, column]:g}",
            remedy="correct the cell; angles are degrees, not radians",
        )
    spread = particles.angles[:, [0, 2]].std(axis=0).min()
    if len(particles) >= _FEWEST_ANGLES and angles[row, column] <= np.pi and spread > _SPREAD:
        raise InputError(
            "the angles of the poses are not possible; in radians?",
            file=particles.source,
            expected="degrees",
            found=f"{len(particles)} rows without an angle beyond pi, rot and psi spread over it",
            remedy="write rot, tilt and psi in degrees: times 180 / pi",
        )


def refuse_phase_shift(particles: Particles) -> None:
    """Refuse a phase shift beyond a turn."""
    wrong = np.flatnonzero(np.abs(particles.phase_shift) > _LARGEST_PHASE)
    if not len(wrong):
        return
    value = float(particles.phase_shift[wrong[0]])
    radians = from_cryosparc(particles)
    raise InputError(
        "a phase shift is not possible" + ("; ctf/phase_shift_rad in degrees?" if radians else ""),
        file=particles.source,
        row=int(particles.row[wrong[0]]),
        expected="radians, 2 pi at the most" if radians else f"degrees, {_LARGEST_PHASE:g} at the most",
        found=f"{np.deg2rad(value) if radians else value:g} ({len(wrong)} of {len(particles)} rows)",
        remedy=f"write it in {'radians' if radians else 'degrees'}; without a phase plate it is 0",
    )
