"""CryoSPARC's particles into the vocabulary.

CryoSPARC publishes no description of its columns. What is assumed here, and on whose word, stands in
``docs/conventions.md``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import UID, CsTable
from cryoalign.io.relion.read import MICROGRAPH
from cryoalign.particles import Optics, Particles
from cryoalign.physics.rotation import matrix_to_euler, rotation_vector_to_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

ABERRATIONS = {"ctf/shift_A": 2, "ctf/tilt_A": 2, "ctf/trefoil_A": 2, "ctf/tetra_A": 4, "ctf/anisomag": 4}
"""Columns of higher aberrations and their widths; zero means none, in the magnification matrix, too."""

LIMITS = {
    "blob/psize_A": (1e-3, 1e3),
    "alignments3D/psize_A": (1e-3, 1e3),
    "ctf/accel_kv": (1.0, 5e3),
    "ctf/amp_contrast": (0.0, 1.0),
}
"""What can only be a slip beyond them."""

BLOB = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A")
POSE = ("alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A")
CTF = (
    "ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast", "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad",
)  # fmt: skip


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
        uid, every column under its own name (those with several values as ``name[0]``, ``name[1]``, ...)
        and ``rlnMicrographName``.

    Raises
    ------
    InputError
        If a file cannot be used, columns are missing or of another form, or a value is not possible.
    """
    table = CsTable(path, passthrough)
    _refuse_other_alignments(table)
    for what, names in (("image", BLOB), ("pose", POSE), ("CTF", CTF)):
        _require(table, what, names)
    optics, index = _read_optics(table)
    stack = np.char.lstrip(_text(table, "blob/path"), ">")
    micrograph = stack
    if "location/micrograph_path" in table:
        micrograph = np.char.lstrip(_text(table, "location/micrograph_path"), ">")
    shift = _numbers(table, "alignments3D/shift", 2) * _numbers(table, "alignments3D/psize_A")[:, None]
    half = _choice(table, "alignments3D/split", (0, 1))
    azimuth = np.rad2deg(_numbers(table, "ctf/df_angle_rad"))
    phase_shift = np.rad2deg(_optional(table, "ctf/phase_shift_rad", 0.0))
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
        defocus=np.column_stack([_numbers(table, "ctf/df1_A"), _numbers(table, "ctf/df2_A"), azimuth]),
        phase_shift=phase_shift,
        ctf_bfactor=_optional(table, "ctf/bfactor", 0.0),
        ctf_scale=_optional(table, "ctf/scale", 1.0),
        half=np.zeros(len(table), dtype=np.int64) if half is None else half.astype(np.int64) + 1,
        sign=_sign(table),
        table=_data_frame(table, micrograph),
    )


def _refuse_other_alignments(table: CsTable) -> None:
    """Refuse poses that are not those of one 3D map."""
    if "alignments3D/pose" in table:
        if "alignments3D/class" in table:
            number = _numbers(table, "alignments3D/class")
            others = number != number[0]
            _refuse(
                table, "alignments3D/class", others, "differs: poses refer to several maps", f"{number[0]:g}"
            )
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


def _require(table: CsTable, what: str, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(
            f"there are no {what} columns" if len(missing) == len(names) else f"{what} columns are missing",
            file=table.path,
            expected=", ".join(names),
            found=f"no {', '.join(missing)}",
            remedy="CryoSPARC keeps such columns in the job's passthrough .cs: join it with passthrough=",
        )


def _numbers(table: CsTable, name: str, width: int = 0) -> NDArray[np.float64]:
    """Return a column as (N,) or (N, width) float64, refusing what is not finite or not possible."""
    values = table[name]
    shape = (len(table), width) if width else (len(table),)
    if values.dtype.kind not in "fiu" or values.shape != shape:
        raise InputError(
            f"the column {name} has another form",
            file=table.place(name, 0)[0],
            expected=f"{width or 'one'} number{'s' * (width > 1)} in a row",
            found=f"type {values.dtype}, shape {values.shape[1:]}",
            remedy="give the particles .cs that CryoSPARC wrote",
        )
    numbers: NDArray[np.float64] = values.astype(np.float64)
    rows = numbers.reshape(len(table), -1)
    _refuse(table, name, ~np.isfinite(rows).all(axis=1), "is not finite", "a finite number")
    if name in LIMITS:
        low, high = LIMITS[name]
        outside = ((rows < low) | (rows > high)).any(axis=1)
        _refuse(table, name, outside, "is not possible", f"{low:g} to {high:g}")
    return numbers


def _refuse(table: CsTable, name: str, bad: ArrayLike, problem: str, expected: str) -> None:
    """Name the first bad row."""
    rows = np.flatnonzero(bad)
    if len(rows):
        file, row = table.place(name, int(rows[0]))
        raise InputError(
            f"{name} {problem} ({len(rows)} of {len(table)} rows)",
            file=file,
            row=row,
            expected=expected,
            found=table[name][rows[0]],
            remedy="remove these particles in CryoSPARC, or correct the file",
        )


def _optional(table: CsTable, name: str, default: float) -> NDArray[np.float64]:
    return _numbers(table, name) if name in table else np.full(len(table), default)


def _choice(table: CsTable, name: str, choices: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Return a column of a few allowed values, None where it is not there."""
    if name not in table:
        return None
    values = _numbers(table, name)
    _refuse(table, name, ~np.isin(values, choices), "is not possible", " or ".join(f"{c:g}" for c in choices))
    return values


def _sign(table: CsTable) -> NDArray[np.float64]:
    """Return what images are multiplied by to show white protein: minus ``blob/sign``."""
    sign = _choice(table, "blob/sign", (-1.0, 1.0))
    return np.ones(len(table)) if sign is None else -sign


def _text(table: CsTable, name: str) -> NDArray[np.str_]:
    values = table[name]
    if values.dtype.kind not in "SU":
        raise InputError(
            f"the column {name} is not text", file=table.place(name, 0)[0], found=f"type {values.dtype}"
        )
    try:
        text: NDArray[np.str_] = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise InputError(
            f"the column {name} is not UTF-8 text", file=table.place(name, 0)[0], found=error.reason
        ) from error
    _refuse(table, name, text == "", "is empty", "a path")
    return text


def _slots(table: CsTable) -> NDArray[np.int64]:
    slots = _numbers(table, "blob/idx")
    bad = (slots < 0) | (slots != np.round(slots))
    _refuse(table, "blob/idx", bad, "does not number an image", "a whole number from 0")
    return slots.astype(np.int64)


def _angles(table: CsTable) -> NDArray[np.float64]:
    """Return RELION's rot, tilt, psi in degrees.

    The rotation of the vector ``alignments3D/pose`` (axis times angle in radians, right-handed) is the
    matrix of `cryoalign.physics.rotation.euler_to_matrix`, from the image's frame to the map's.
    """
    vectors = torch.from_numpy(_numbers(table, "alignments3D/pose", 3))
    angles: NDArray[np.float64] = matrix_to_euler(rotation_vector_to_matrix(vectors)).numpy()
    return angles


def _read_optics(table: CsTable) -> tuple[tuple[Optics, ...], NDArray[np.int64]]:
    """Make an optics group of each distinct set of values; give (N,) the index of each particle's."""
    box = _numbers(table, "blob/shape", 2)
    _refuse(table, "blob/shape", box[:, 0] != box[:, 1], "is not square", "two equal sizes in px")
    _refuse(table, "blob/shape", (box < 2).any(axis=1), "is too small", "2 px or more")
    active = [
        (_numbers(table, name, width) != 0).any(axis=1) if name in table else np.zeros(len(table), bool)
        for name, width in ABERRATIONS.items()
    ]
    columns = [
        _optional(table, "ctf/exp_group_id", 0.0),
        _numbers(table, "blob/psize_A"),
        *(_numbers(table, name) for name in CTF[:3]),
        box[:, 0],
        *active,
    ]
    values, index = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    groups, seen = [], dict[int, int]()
    for rank, row in enumerate(values.tolist(), start=1):
        exposure, pixel_size, voltage, aberration, contrast, size, *flags = row
        seen[int(exposure)] = seen.get(int(exposure), 0) + 1
        again = f"_{seen[int(exposure)]}" if seen[int(exposure)] > 1 else ""
        groups.append(
            Optics(
                group=rank,
                name=f"exposureGroup{int(exposure)}{again}",
                pixel_size=_rounded(pixel_size),
                voltage=_rounded(voltage),
                spherical_aberration=_rounded(aberration),
                amplitude_contrast=_rounded(contrast),
                box_size=int(size),
                unmodelled=tuple(name for name, flag in zip(ABERRATIONS, flags, strict=True) if flag),
            )
        )
    return tuple(groups), index.reshape(-1).astype(np.int64)


def _rounded(value: float) -> float:
    """Return the number that the file's float32 stands for: 2.95 and not 2.9500000477."""
    return float(f"{value:.7g}")


def _data_frame(table: CsTable, micrograph: NDArray[np.str_]) -> pd.DataFrame:
    """Return every column with its own type, so that none is lost when the particles are written back."""
    columns: dict[str, Any] = {UID: table.uid, MICROGRAPH: micrograph}
    for name in table.names:
        values = table[name]
        if name in columns or values.dtype.kind not in "fiubSU":
            continue
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        if values.ndim == 1:
            columns[name] = values
        else:
            flat = values.reshape(len(table), -1)
            columns |= {f"{name}[{i}]": flat[:, i] for i in range(flat.shape[1])}
    return pd.DataFrame(columns)
