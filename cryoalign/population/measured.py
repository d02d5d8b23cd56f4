"""The measured particles that new ones are made like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.errors import InputError
from cryoalign.io.coordinates import COORDINATES
from cryoalign.io.cryosparc.table import UID, from_cryosparc

if TYPE_CHECKING:
    from cryoalign.particles import Particles

_RELION = (
    "rlnMicrographPreExposure",
    "rlnMicrographTiltAngle",
    "rlnMicrographTiltAxisDirection",
    "rlnMicrographTiltAxisOutOfPlane",
    "rlnTomoNominalStageTiltAngle",
    "rlnTomoXTilt",
    "rlnTomoYTilt",
    "rlnBeamTiltClass",
    "rlnCtfMaxResolution",
    "rlnCtfFigureOfMerit",
)
_CRYOSPARC = (
    UID,
    "ctf/",
    "mscope_params/",
    "location/micrograph_",
    "location/exp_group_id",
    "alignments3D/psize_A",
)


def lending(particles: Particles) -> Particles:
    """Return measured particles with only those columns and optics groups that new ones get from them.

    Scores, priors and classes are the measured particle's own, and go. Coordinates stay, for neighbours; they
    are not lent.

    Parameters
    ----------
    particles : Particles

    Returns
    -------
    Particles
        All optics groups are in use.

    Raises
    ------
    InputError
        If an image stands in two rows, as after a symmetry expansion.
    """
    _refuse_twice(particles)
    used, index = np.unique(particles.optics_index, return_inverse=True)
    kept = [name for name in map(str, particles.table.columns) if _is_lent(particles, name)]
    return replace(
        particles,
        optics=tuple(particles.optics[group] for group in used.tolist()),
        optics_index=index.reshape(-1).astype(np.int64),
        table=particles.table[kept],
    )


def _is_lent(particles: Particles, name: str) -> bool:
    if name in COORDINATES:
        return True
    if from_cryosparc(particles):
        return name.startswith(_CRYOSPARC)
    return name in _RELION


def _refuse_twice(particles: Particles) -> None:
    """Refuse an image of several rows: its views are copies by symmetry, which no microscope prefers."""
    images = pd.DataFrame({"stack": particles.stack, "slot": particles.slot})
    again = np.flatnonzero(images.duplicated().to_numpy())
    if len(again):
        same = np.flatnonzero((images == images.iloc[again[0]]).all(axis=1).to_numpy())
        raise InputError(
            f"an image stands in several rows ({len(again)} of {len(particles)} rows), as after a symmetry "
            "expansion",
            file=particles.source,
            row=int(particles.row[again[0]]),
            expected="each measured particle once",
            found=f"{particles.image_name[again[0]]}, as in row {particles.row[same[0]]}",
            remedy="give the particles before the expansion as like=",
        )
