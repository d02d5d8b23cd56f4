"""Columns by which particles are known that no microscope has seen: labels that RELION knows."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.cryosparc.table import UID, from_cryosparc

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

PARTICLE_NAME = "rlnParticleName"
"""``simulated_`` and the particle's uid in hexadecimal digits."""
NAME_PREFIX = "simulated_"
MEASURED_PARTICLE = "rlnOriginalParticleName"
"""The image of the measured particle that a new one has its conditions from."""
MEASURED_MICROGRAPH = "rlnMicrographMovieName"
"""The micrograph of that."""
SEED = "rlnRandomSeed"
MAP = "rlnReferenceImage"
"""The map or model that a new particle is an image of."""


def simulated_uids(particles: Particles) -> NDArray[np.uint64] | None:
    """Return (N,) the uids of particles that were never measured; None of all others.

    Parameters
    ----------
    particles : Particles
        As they were drawn, or read from a STAR or ``.cs`` file that was written of them.
    """
    table = particles.table
    if from_cryosparc(particles):
        named = CS_SEED in table
        return table[UID].to_numpy(dtype=np.uint64) if named else None
    if PARTICLE_NAME not in table:
        return None
    digits = table[PARTICLE_NAME].astype("str").str.extract(rf"^{NAME_PREFIX}([0-9a-f]{{16}})$")[0]
    if digits.isna().any():
        return None
    return np.array([int(text, 16) for text in digits], dtype=np.uint64)


CS_MICROGRAPH, CS_PARTICLE, CS_SEED = "simulated/micrograph_path", "simulated/particle", "simulated/seed"
"""The same in a ``.cs`` file."""


MAPS = "maps_fingerprint"
"""Among what a STAR file states of a simulation, the fingerprint of the maps or models."""


def is_of_cryoalign(source: Path) -> bool:
    """Return whether metadata, or the STAR file beside a ``.cs``, state what cryoalign simulated with."""
    return bool(_statements(source))


def maps_of(source: Path) -> str:
    """Return the fingerprint of the maps that images were simulated of; empty where none is stated.

    Parameters
    ----------
    source : Path
        The metadata file; of a ``.cs`` the STAR file beside it is asked.
    """
    words = (line.split() for line in _statements(source))
    return next((pair[1] for pair in words if len(pair) == 2 and pair[0] == MAPS), "")


def _statements(source: Path) -> list[str]:
    """Return the lines of what images were simulated with, from its title on."""
    star = source.with_suffix(".star") if source.suffix == ".cs" else source
    if not star.is_file():
        return []
    with star.open(encoding="utf-8", errors="replace") as file:
        return list(dropwhile(lambda line: not line.startswith("data_simulation"), file))
