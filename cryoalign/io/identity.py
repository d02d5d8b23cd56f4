"""Who particles are to random numbers, whatever row of whatever file they stand in."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.io.cryosparc.table import UID, from_cryosparc
from cryoalign.io.relion.read import ORIGINAL
from cryoalign.io.simulated import maps_of, simulated_uids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_DECIMALS = 3  # of a pose in degrees and a shift in A: files of other programs round them


def identities(particles: Particles, maps: str | None = None) -> NDArray[np.uint64]:
    """Return a number for each particle that depends on who it is, and not on its row.

    Of a particle that was never measured it is the uid. Of a simulation of a measured one it is a hash of the
    raw image's name or uid, the fingerprint of the maps, and the pose and shift, which tell rows of a
    symmetry expansion apart. Where another program simulated, the image's own name stands for the maps.

    Parameters
    ----------
    particles : Particles
        N particles: simulated ones, or with `maps` those that are to be simulated.
    maps : str, optional
        Fingerprint of what they become images of; by default the one that is stated beside them.

    Returns
    -------
    (N,) uint64
        Rows that repeat another one in everything get other numbers, by their order.
    """
    uids = simulated_uids(particles)
    if uids is None:
        given = maps_of(particles.source) if maps is None else maps
        names = [_raw_names(particles)]
        if maps is not None or not given:
            names.append(particles.image_name)
        pose = np.column_stack([particles.angles, particles.shift])
        rounded = np.round(pose * 10**_DECIMALS).astype("<i8")
        texts = ("\n".join([given, *words]).encode() for words in zip(*names, strict=True))
        uids = _hashes(text + row.tobytes() for text, row in zip(texts, rounded, strict=True))
    return told_apart(uids)


def simulated_identities(particles: Particles, maps: str) -> Callable[[Particles], NDArray[np.uint64]]:
    """Return what tells who some of these particles are, once they are images of maps.

    Parameters
    ----------
    particles : Particles
        All that are to be simulated: a row that repeats another one is known among all alone.
    maps : str
        Fingerprint of what they become images of.

    Returns
    -------
    callable
        From n of them to (n,) numbers.
    """
    known = dict(zip(particles.row.tolist(), identities(particles, maps), strict=True))
    return lambda some: np.array([known[row] for row in some.row.tolist()], dtype=np.uint64)


def image_identities(images: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a number for each image that depends on its values, for images of which nothing else is known.

    Parameters
    ----------
    images : (N, n, n) float32

    Returns
    -------
    (N,) uint64
        Images that repeat another one get other numbers, by their order.
    """
    return told_apart(_hashes(np.ascontiguousarray(image, dtype="<f4").tobytes() for image in images))


def told_apart(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers of which none is there twice: the first of equal ones stays, the others are hashed."""
    again = pd.Series(numbers).groupby(numbers).cumcount().to_numpy()
    rows = np.flatnonzero(again)
    found = numbers.copy()
    found[rows] = _hashes(f"{numbers[row]} {again[row]}".encode() for row in rows)
    return found


def _raw_names(particles: Particles) -> NDArray[np.str_]:
    """Return (N,) names of the measured images, or their uids."""
    if from_cryosparc(particles):
        return particles.table[UID].to_numpy().astype(np.str_)
    if ORIGINAL in particles.table:
        return np.array(particles.table[ORIGINAL].to_list(), dtype=np.str_)
    return particles.image_name


def _hashes(contents: Iterable[bytes]) -> NDArray[np.uint64]:
    digests = (blake2b(content, digest_size=8).digest() for content in contents)
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)
