"""What is known of particles beside their images, as tensors that go with a batch."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from cryoalign.io.cryosparc.table import UID, from_cryosparc
from cryoalign.io.identity import identities
from cryoalign.io.relion.read import ORIGINAL
from cryoalign.io.simulated import simulated_uids
from cryoalign.models.generator import Metadata, map_metadata
from cryoalign.physics.ctf_parameters import ctf_parameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cryoalign.particles import Particles

#: Columns of the exposure before an image in e/A^2, and of the stage's tilt in degrees; the first one counts.
DOSE = ("rlnMicrographPreExposure",)
TILT = ("rlnTomoNominalStageTiltAngle", "rlnTomoYTilt")

_BITS = 63  # of a micrograph's number: it is a signed integer of 64


def particle_metadata(particles: Particles, pixel_size: ArrayLike | None = None) -> Metadata:
    """Gather what is known of every particle of a table.

    Parameters
    ----------
    particles : Particles
        N particles, of RELION or of CryoSPARC.
    pixel_size : float or (N,) array_like, optional
        Of the images as they are used, in A; that of the optics groups if not given.

    Returns
    -------
    Metadata
        N rows, on the CPU.
    """
    return {
        "defocus": torch.from_numpy(particles.mean_defocus).float(),
        "ctf": ctf_parameters(particles, pixel_size),
        "dose": _first_column(particles, DOSE),
        "tilt": _first_column(particles, TILT),
        "micrograph": torch.from_numpy(name_numbers(particles.micrograph)),
        "particle": torch.from_numpy(_particle_numbers(particles)),
        "identity": identity_tensor(identities(particles)),
    }


def identity_tensor(numbers: NDArray[np.uint64]) -> Tensor:
    """Return (N,) int64 numbers of particles, none negative: the upper 63 bits of who they are."""
    return torch.from_numpy((numbers >> np.uint64(1)).astype(np.int64))


def rows_of(metadata: Metadata, rows: NDArray[np.int64] | Tensor | int) -> Metadata:
    """Select rows, or one row without the first axis.

    Parameters
    ----------
    metadata : Metadata
        Of a table.
    rows : (B,) int64 or int

    Returns
    -------
    Metadata
    """
    index = torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows
    return map_metadata(lambda values: values[index], metadata)


def name_numbers(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return a number for each name that depends on it and on nothing else.

    Parameters
    ----------
    names : (N,) str
        Empty where there is none.

    Returns
    -------
    (N,) int64
        0 where there is no name, else above 0: two names get the same with a chance of 1e-19.
    """
    unique, place = np.unique(names, return_inverse=True)
    numbers = np.array([_number(name) for name in unique.tolist()], dtype=np.int64)
    found: NDArray[np.int64] = numbers[place.reshape(-1)]
    return found


def _particle_numbers(particles: Particles) -> NDArray[np.int64]:
    """Return (N,) numbers of uids, else of the raw images that were simulated, else of the images."""
    uids = particles.table[UID].to_numpy() if from_cryosparc(particles) else simulated_uids(particles)
    if uids is not None:
        return name_numbers(uids.astype(np.str_))
    if ORIGINAL in particles.table:
        return name_numbers(np.array(particles.table[ORIGINAL].to_list(), dtype=np.str_))
    return name_numbers(particles.image_name)


def _number(name: str) -> int:
    digest = blake2b(name.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BITS)) or 1 if name else 0


def _first_column(particles: Particles, names: tuple[str, ...]) -> Tensor:
    """Return (N,) the first of these columns that is there, NaN where it holds no number."""
    column = next((name for name in names if name in particles.table), None)
    if column is None:
        return torch.full((len(particles),), torch.nan)
    values = pd.to_numeric(particles.table[column], errors="coerce").to_numpy(dtype=np.float64)
    return torch.from_numpy(np.where(np.isfinite(values), values, np.nan)).float()
