"""STAR files without a CTF, or with all of it but the amplitude contrast, where they are asked to be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from cryoalign.errors import InputError, choice

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_log = logging.getLogger(__name__)

MissingCtf = Literal["refuse", "neutral"]
"""What to do with particles that have no CTF; see `fill_ctf`."""

DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_CONTRAST, _VOLTAGE = "rlnAmplitudeContrast", "rlnVoltage"
_NEUTRAL = {"rlnSphericalAberration": "0", _CONTRAST: "1"}
_ANY_VOLTAGE = "300"  # kV; without defocus and aberration it enters nowhere
_FACTORS = {"rlnPhaseShift": "0", "rlnCtfBfactor": "0", "rlnCtfScalefactor": "1"}


def fill_ctf(
    path: Path, particles: pd.DataFrame, optics: pd.DataFrame | None, missing: MissingCtf
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Complete tables without a CTF by a neutral one, with a warning.

    Without any defocus the CTF becomes 1 at all frequencies: no defocus, no spherical aberration, an
    amplitude contrast of 1. That is also what RELION makes of these numbers. Where only the amplitude
    contrast is missing, it becomes 0, as RELION takes it.

    Parameters
    ----------
    path : Path
        The file, for the warning.
    particles : DataFrame
        The table of particles, of strings.
    optics : DataFrame or None
        The table of optics groups, None in files of RELION 3.0.
    missing : {"refuse", "neutral"}
        With "refuse" nothing is filled in, and reading goes on to refuse what is missing.

    Returns
    -------
    particles, optics : DataFrame
        The tables to read, the optics None where they were.

    Raises
    ------
    InputError
        If `missing` is neither, or some columns of the defocus are there and others are not.
    """
    choice("missing_ctf", missing, ("refuse", "neutral"))
    _refuse_half(path, [name for name in DEFOCUS if name in particles])
    lens = particles if optics is None else optics
    if missing == "refuse":
        return particles, optics
    if not any(name in particles for name in DEFOCUS):
        _log.warning(
            "%s: there is no defocus (%s); images are taken as if their CTF were 1 everywhere",
            path, DEFOCUS[0],
        )  # fmt: skip
        lens = lens.assign(**_NEUTRAL, **{_VOLTAGE: lens.get(_VOLTAGE, _ANY_VOLTAGE)})
        particles = (lens if optics is None else particles).assign(**dict.fromkeys(DEFOCUS, "0"), **_FACTORS)
    elif _CONTRAST not in lens:
        _log.warning("%s: there is no %s; it is taken for 0, as RELION does", path, _CONTRAST)
        lens = lens.assign(**{_CONTRAST: "0"})
        particles = lens if optics is None else particles
    return particles, None if optics is None else lens


def _refuse_half(path: Path, found: list[str]) -> None:
    """Refuse a part of a defocus, whatever is asked for."""
    missing = ", ".join(name for name in DEFOCUS if name not in found)
    if found and missing:
        raise InputError(
            "CTF columns are missing",
            file=path,
            expected=", ".join(DEFOCUS),
            found=f"{', '.join(found)} without {missing}",
            remedy=f"add {missing}; or remove {', '.join(found)}, to take the CTF for 1 by "
            "missing_ctf=neutral",
        )
