"""Columns by which particles are known that no microscope has seen: labels that RELION knows."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.io.cryosparc.table import UID, from_cryosparc

if TYPE_CHECKING:
    from collections.abc import Sequence
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
CLASS = "rlnClassNumber"
"""The number of that map, from 1; 0 of an image without a particle."""
NO_MAP = "None"
"""What RELION writes where there is no file."""


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
CS_CLASS, CS_MAP = "alignments3D/class", "simulated/reference_path"
"""CryoSPARC's column, which counts from 0, and the map."""


def map_names(classes: NDArray[np.int64], maps: Sequence[str]) -> NDArray[np.str_]:
    """Return (N,) the name of each one's map, `NO_MAP` where there is none.

    Parameters
    ----------
    classes : (N,) int64
        Numbers of maps from 1; 0: none.
    maps : sequence of str
        Their names.
    """
    return np.array([NO_MAP, *maps], dtype=np.str_)[classes]


def cryosparc_classes(classes: NDArray[np.int64], maps: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the columns of a ``.cs``: what has no particle has the number behind that of the last map."""
    numbers = np.where(classes == 0, len(maps), classes - 1).astype(np.uint32)
    return {CS_CLASS: numbers, CS_MAP: map_names(classes, maps)}


def relion_classes(numbers: NDArray[np.int64], maps: NDArray[np.str_]) -> dict[str, NDArray[Any]]:
    """Return the columns of a STAR file for those that `cryosparc_classes` gave."""
    return {CLASS: np.where(maps == NO_MAP, 0, numbers + 1), MAP: maps}


def without_particle(particles: Particles) -> NDArray[np.bool_]:
    """Return (N,) whether each is known to show no particle: simulated so, and labelled."""
    if CLASS not in particles.table or simulated_uids(particles) is None:
        return np.zeros(len(particles), dtype=np.bool_)
    return (particles.table[CLASS] == 0).to_numpy(dtype=np.bool_)


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
    with star.open("rb") as file:  # which may have a million lines before that
        lines = list(dropwhile(lambda line: not line.startswith(b"data_simulation"), file))
    return [line.decode("utf-8", "replace") for line in lines]
