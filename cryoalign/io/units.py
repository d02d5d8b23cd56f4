"""Numbers that can only be in another unit: refused where metadata enter, since an image shows them late."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

_DEFOCUS = (100.0, 100_000.0)  # A; of the median of those that are not 0
_FEW = 2_000.0  # A; rarely chosen without a phase plate, and 2 um in nm
_LARGEST_CS = 20.0  # mm


def check_units(particles: Particles) -> None:
    """Refuse a defocus or a spherical aberration that is written in another unit.

    Overfocus, phase plates, corrected microscopes and a defocus of exactly 0 pass.

    Parameters
    ----------
    particles : Particles

    Raises
    ------
    InputError
        If the median of the defocus, without its sign, is below 100 A or above 100,000 A, or a spherical
        aberration above 20 mm.
    """
    _check_defocus(particles)
    aberration = np.abs(particles.optics_column("spherical_aberration"))
    wrong = np.flatnonzero(aberration > _LARGEST_CS)
    if len(wrong):
        group = particles.optics[particles.optics_index[wrong[0]]]
        raise InputError(
            f"the spherical aberration of optics group {group.name} is not possible; in um?",
            file=particles.source,
            expected=f"mm, and {_LARGEST_CS:g} at the most",
            found=f"{group.spherical_aberration:g}",
            remedy=f"write it in mm: {group.spherical_aberration:g} um are "
            f"{group.spherical_aberration / 1000:g} mm",
        )


def _check_defocus(particles: Particles) -> None:
    defocus = np.abs(particles.mean_defocus)
    given = defocus[defocus > 0]
    if not len(given):
        return
    median = float(np.median(given))
    low, high = _DEFOCUS
    if not low <= median <= high:
        raise InputError(
            f"the defocus is not possible; {'in um?' if median < low else 'is its unit right?'}",
            file=particles.source,
            expected=f"A, and a median of {low:g} to {high:,.0f}",
            found=f"a median of {median:.4g}, values from {defocus.min():.4g} to {defocus.max():.4g}",
            remedy="write it in A: 1 um are 10,000 A, 1 nm is 10 A",
        )
    if median < _FEW and not particles.phase_shift.any():
        _log.warning(
            "%s: the median defocus of %.0f A is very small without a phase plate; in nm?",
            particles.source, median,
        )  # fmt: skip
