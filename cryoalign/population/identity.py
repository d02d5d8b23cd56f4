"""Who new particles are: numbers and names that no other data set has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.simulated import NAME_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_LEADING = re.compile(r"^(\.{0,2}/)+")  # of an absolute path, or one that leads out of the project
_FOLDER_DIGITS = 8  # of the fingerprint, in the names of micrographs


def population_fingerprint(options: Mapping[str, object], contents: Mapping[str, str]) -> str:
    """Return a hash of what decides the images of new particles, but for how many there are.

    Parameters
    ----------
    options : mapping
        All that decides them, nested or not. Files count by their content, wherever they lie.
    contents : mapping
        File name to a hash of what is in it: of the maps, the measured particles, and whatever else is read.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    decides = [_by_content(options, contents), list(contents.values())]
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _by_content(value: object, contents: Mapping[str, str]) -> object:
    """Replace the names of files by what is in them."""
    if isinstance(value, Mapping):
        return {str(name): _by_content(entry, contents) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(entry, contents) for entry in value]
    return contents.get(str(Path(value)), value) if isinstance(value, str) else value


def uids(identity: str, seed: int, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return (n,) numbers of 64 bits: a hash of the data set, the seed and the row.

    Parameters
    ----------
    identity : str
        Fingerprint of the data set.
    seed : int
    rows : (n,) int64
        0-based.
    """
    return _numbers(identity, seed, map(str, rows.tolist()))


def neighbour_uids(
    identity: str, seed: int, rows: NDArray[np.int64], numbers: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return (n,) such numbers of what lies around the particles of rows, the neighbours counted from 1."""
    named = zip(rows.tolist(), numbers.tolist(), strict=True)
    return _numbers(identity, seed, (f"{row} {number}" for row, number in named))


def _numbers(identity: str, seed: int, names: Iterable[str]) -> NDArray[np.uint64]:
    start = blake2b(f"{identity} {seed} ".encode(), digest_size=8)

    def one(name: str) -> int:
        digest = start.copy()
        digest.update(name.encode())
        return int.from_bytes(digest.digest(), "big")

    return np.array([one(name) for name in names], dtype=np.uint64)


def particle_names(numbers: NDArray[np.uint64]) -> list[str]:
    """Return the uids as ``rlnParticleName`` has them."""
    return [f"{NAME_PREFIX}{number:016x}" for number in numbers.tolist()]


def micrograph_names(identity: str, sources: Sequence[str]) -> list[str]:
    """Return names of micrographs that no other data set has, one for each of the measured ones.

    Parameters
    ----------
    identity : str
        Fingerprint of the data set.
    sources : sequence of str
        Names of the measured micrographs: the new ones keep them below a folder of their own, so that what
        tells tomograms or grids by a part of the name goes on to.
    """
    folder = f"simulated_{identity[:_FOLDER_DIGITS]}"
    return [f"{folder}/{_LEADING.sub('', source)}" for source in sources]


def micrograph_uids(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return (n,) numbers of 64 bits, a hash of each name."""
    digests = (blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)
