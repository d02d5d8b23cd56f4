"""Numbers that can only be in another unit: refused where metadata enter, since an image shows them late."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.angle_units import refuse_angles, refuse_phase_shift
from cryoalign.io.cryosparc.table import from_cryosparc

if TYPE_CHECKING:
    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

_LIMITS = (
    ("defocus", ("rlnDefocusU", "rlnDefocusV"), ("ctf/df1_A", "ctf/df2_A"), 1e6),
    ("shift", ("rlnOriginXAngst", "rlnOriginYAngst"), ("alignments3D/shift",) * 2, 1e6),
    ("ctf_bfactor", ("rlnCtfBfactor",), ("ctf/bfactor",), 1e4),
    ("ctf_scale", ("rlnCtfScalefactor",), ("ctf/scale",), 1e4),
)
"""Fields of particles, their columns in STAR and ``.cs`` files, and what none exceeds: in A, A^2, or 1."""

_DEFOCUS = (100.0, 100_000.0)  # A; of the median of those that are not 0
_FEW = 2_000.0  # A; rarely chosen without a phase plate, and 2 um in nm
_LARGEST_CS = 20.0  # mm
_CS_IN_METRES = (0.0011, 0.0065)  # what lenses have, in m; corrected ones are given as 0.001 and 0.01 mm
_ASTIGMATIC = 1.0  # difference of U and V over their mean


def check_units(particles: Particles) -> None:
    """Refuse a defocus or a spherical aberration that is written in another unit, and what no CTF has.

    Overfocus, phase plates, corrected microscopes and a defocus of exactly 0 pass.

    Parameters
    ----------
    particles : Particles

    Raises
    ------
    InputError
        If the median of the defocus, without its sign, is below 100 A or above 100,000 A, or a spherical
        aberration above 20 mm or of what lenses have in m; if angles are in another unit; if a value is
        beyond what is possible by far.
    """
    _check_defocus(particles)
    refuse_angles(particles)
    refuse_phase_shift(particles)
    _check_limits(particles)
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
    low, high = _CS_IN_METRES
    wrong = np.flatnonzero((low < aberration) & (aberration < high))
    if len(wrong):
        group = particles.optics[particles.optics_index[wrong[0]]]
        raise InputError(
            f"the spherical aberration of optics group {group.name} is not possible; in m?",
            file=particles.source,
            expected=f"mm, and not between {low:g} and {high:g}",
            found=f"{group.spherical_aberration:g}",
            remedy=f"write it in mm: {group.spherical_aberration:g} m are "
            f"{group.spherical_aberration * 1000:g} mm",
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
    between = np.abs(particles.defocus[:, 0] - particles.defocus[:, 1])
    apart = (between > _ASTIGMATIC * defocus) & (defocus > 0)
    if apart.any():
        row = int(np.flatnonzero(apart)[0])
        _log.warning(
            "%s, row %d: defocus U %.0f A and V %.0f A are far apart (%d of %d rows); are they right?",
            particles.source, particles.row[row], *particles.defocus[row, :2], apart.sum(), len(defocus),
        )  # fmt: skip
    if median < _FEW and not particles.phase_shift.any():
        _log.warning(
            "%s: the median defocus of %.0f A is very small without a phase plate; in nm?",
            particles.source, median,
        )  # fmt: skip


def _check_limits(particles: Particles) -> None:
    """Name the column and the first row of a value that no particle has."""
    for field, in_star, in_cs, most in _LIMITS:
        values = getattr(particles, field).reshape(len(particles), -1)
        for column, name in enumerate(in_cs if from_cryosparc(particles) else in_star):
            bad = np.flatnonzero(~(np.abs(values[:, column]) <= most))
            if len(bad):
                raise InputError(
                    f"{name} is not possible ({len(bad)} of {len(particles)} rows)",
                    file=particles.source,
                    row=int(particles.row[bad[0]]),
                    expected=f"-{most:,.0f} to {most:,.0f}",
                    found=f"{values[bad[0], column]:g}",
                    remedy="correct the cell or remove the row",
                )
