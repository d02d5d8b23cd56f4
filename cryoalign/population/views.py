"""Poses alone, from files that need to hold nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.columns import numbers as cs_numbers
from cryoalign.io.cryosparc.columns import require
from cryoalign.io.cryosparc.table import CsTable, file_format
from cryoalign.io.relion.read import POSE
from cryoalign.io.relion.star import numbers, read_star
from cryoalign.physics.rotation import matrix_to_euler, rotation_vector_to_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_OF_CRYOSPARC = "alignments3D/pose"


def read_views(path: Path) -> NDArray[np.float64]:
    """Read poses of a STAR or ``.cs`` file, which needs no images, CTF or optics.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (N, 3) float64
        Rot, tilt and psi in degrees.

    Raises
    ------
    InputError
        If the file cannot be read or has no poses.
    """
    if file_format(path) is not None:
        table = CsTable(path)
        require(table, "pose", (_OF_CRYOSPARC,))
        matrices = rotation_vector_to_matrix(torch.from_numpy(cs_numbers(table, _OF_CRYOSPARC, 3)))
        angles: NDArray[np.float64] = matrix_to_euler(matrices).numpy()
        return angles
    tables = [table for table in read_star(path).values() if set(POSE) <= set(table)]
    if len(tables) != 1 or not len(tables[0]):
        raise InputError(
            "this file has no poses",
            file=path,
            expected=f"one table with {', '.join(POSE)}",
            found=f"{len(tables)} such tables" if len(tables) != 1 else "a table without rows",
            remedy="give the STAR file of a refinement",
        )
    return np.column_stack([numbers(tables[0], name, path) for name in POSE])
