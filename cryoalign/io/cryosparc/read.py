"""CryoSPARC's particles into the vocabulary.

CryoSPARC publishes no description of its columns. What is assumed here, and by which sources, is in
``docs/conventions.md``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.columns import (
    choice_of,
    decoded,
    numbers,
    optional,
    refuse,
    require,
    text,
)
from cryoalign.io.cryosparc.optics import LENS, read_optics
from cryoalign.io.cryosparc.table import UID, VECTOR, CsTable, vector_name
from cryoalign.io.relion.read import MICROGRAPH
from cryoalign.io.simulated import CS_CLASS, CS_MAP, relion_classes
from cryoalign.particles import Particles
from cryoalign.physics.rotation import matrix_to_euler, rotation_vector_to_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A")
_LARGEST_TURN = 4 * np.pi  # radians; programs keep to one turn
POSE = ("alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A")
CTF = (*LENS, "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad")


def read_cryosparc(path: Path, passthrough: Sequence[Path] = ()) -> Particles:
    """Read the particles of a CryoSPARC job.

    Parameters
    ----------
    path : Path
        The particles ``.cs`` of a 3D refinement or an ab-initio reconstruction of one class.
    passthrough : sequence of Path
        Further ``.cs`` files of the same particles, joined by uid.

    Returns
    -------
    Particles
        One optics group for each exposure group and each distinct set of its values. In `table` stand the
        uid, every column under its name (those with several values as ``name[0]``, ``name[1]``, ..., or
        ``name[0,0]``, ...)
        and, where micrographs are named, ``rlnMicrographName``; of particles that were simulated of several
        maps also ``rlnClassNumber`` and ``rlnReferenceImage``.

    Raises
    ------
    InputError
        If a file cannot be used, columns are missing or of another form, or a value is not possible.
    """
    table = CsTable(path, passthrough)
    _refuse_other_alignments(table)
    for what, names in (("image", BLOB), ("pose", POSE), ("CTF", CTF)):
        require(table, what, names)
    optics, index = read_optics(table)
    stack = np.char.lstrip(text(table, "blob/path"), ">")
    # without it none: stacks of restacked or downsampled particles hold those of many micrographs
    micrograph = np.full(len(table), "")
    if "location/micrograph_path" in table:
        micrograph = np.char.lstrip(text(table, "location/micrograph_path"), ">")
    shift = numbers(table, "alignments3D/shift", 2) * numbers(table, "alignments3D/psize_A")[:, None]
    half = choice_of(table, "alignments3D/split", (0, 1))
    azimuth = np.rad2deg(numbers(table, "ctf/df_angle_rad"))
    phase_shift = np.rad2deg(optional(table, "ctf/phase_shift_rad", 0.0))
    return Particles(
        source=path,
        optics=optics,
        row=np.arange(1, len(table) + 1),
        optics_index=index,
        stack=stack,
        slot=_slots(table),
        micrograph=micrograph,
        angles=_angles(table),
        shift=shift,
        defocus=np.column_stack([numbers(table, "ctf/df1_A"), numbers(table, "ctf/df2_A"), azimuth]),
        phase_shift=phase_shift,
        ctf_bfactor=optional(table, "ctf/bfactor", 0.0),
        ctf_scale=optional(table, "ctf/scale", 1.0),
        half=np.zeros(len(table), dtype=np.int64) if half is None else half.astype(np.int64) + 1,
        sign=_sign(table),
        table=_data_frame(table, micrograph),
    )


def _refuse_other_alignments(table: CsTable) -> None:
    """Refuse poses that are not those of one 3D map."""
    if "alignments3D/pose" in table:
        if CS_CLASS in table and CS_MAP not in table:  # maps that were simulated with have one frame
            number = numbers(table, CS_CLASS)
            others = number != number[0]
            refuse(table, CS_CLASS, others, "differs: poses refer to several maps", f"{number[0]:g}")
        return
    slots = sorted({name.split("/")[0] for name in table.names})
    several = [slot for slot in slots if re.fullmatch(r"alignments3D_multi|alignments_class_\d+", slot)]
    if several:
        raise InputError(
            "the poses are those of several classes",
            file=table.path,
            expected="alignments3D/pose, of one map",
            found=", ".join(several),
            remedy="refine one class, or give the .cs of one class's output group",
        )
    flat = "alignments2D" in slots
    raise InputError(
        "there are 2D alignments only" if flat else "there are no poses",
        file=table.path,
        expected="alignments3D/pose",
        found=", ".join(slot for slot in slots if slot.startswith("alignments")) or ", ".join(slots),
        remedy="give the particles of a 3D refinement or an ab-initio reconstruction, or join their .cs "
        "with passthrough=",
    )


def _sign(table: CsTable) -> NDArray[np.float64]:
    """Return what images are multiplied by to show white protein: minus ``blob/sign``."""
    sign = choice_of(table, "blob/sign", (-1.0, 1.0))
    return np.ones(len(table)) if sign is None else -sign


def _slots(table: CsTable) -> NDArray[np.int64]:
    slots = numbers(table, "blob/idx")
    bad = (slots < 0) | (slots != np.round(slots))
    refuse(table, "blob/idx", bad, "does not number an image", "a whole number from 0")
    return slots.astype(np.int64)


def _angles(table: CsTable) -> NDArray[np.float64]:
    """Return RELION's rot, tilt, psi in degrees.

    The rotation of the vector ``alignments3D/pose`` (axis times angle in radians, right-handed) is the
    matrix of `cryoalign.physics.rotation.euler_to_matrix`, from the image's frame to the map's.
    """
    given = numbers(table, "alignments3D/pose", 3)
    turned = np.linalg.norm(given, axis=1)
    bad = turned > _LARGEST_TURN
    refuse(
        table, "alignments3D/pose", bad, "turns by more than two turns; in degrees?",
        "axis times angle in radians",
    )  # fmt: skip
    vectors = torch.from_numpy(given)
    angles: NDArray[np.float64] = matrix_to_euler(rotation_vector_to_matrix(vectors)).numpy()
    return angles


def _data_frame(table: CsTable, micrograph: NDArray[np.str_]) -> pd.DataFrame:
    """Return every column with its type, so that none is lost when the particles are written back."""
    columns: dict[str, Any] = {UID: table.uid}
    if (micrograph != "").any():
        columns[MICROGRAPH] = micrograph
    for name in table.names:
        values = table[name]
        if name in columns:
            continue
        if values.dtype.kind not in "fiubSU" or VECTOR.fullmatch(name):
            raise InputError(
                f"the column {name} cannot be kept",
                file=table.place(name, 0)[0],
                expected="numbers or text, under a name that does not end in [...]",
                found=f"type {values.dtype}",
                remedy="remove the column",
            )
        if values.dtype.kind in "SU":
            values = decoded(table, name)
        columns |= {vector_name(name, place): values[:, *place] for place in np.ndindex(values.shape[1:])}
    if CS_CLASS in table and CS_MAP in table:
        columns |= relion_classes(numbers(table, CS_CLASS).astype(np.int64), text(table, CS_MAP))
    return pd.DataFrame(columns)
