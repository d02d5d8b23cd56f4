"""Columns of a CryoSPARC table, refused where their form or a value is not possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.relion.star_text import is_writable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.io.cryosparc.table import CsTable

_LAST_LETTER, _HALVES = 0x10FFFF, (0xD800, 0xDFFF)  # of Unicode; halves of letters are none by themselves
LIMITS = {
    "blob/idx": (-1.0, 2.0**32),
    "alignments3D/pose": (-1e4, 1e4),
    "blob/psize_A": (1e-3, 1e3),
    "alignments3D/psize_A": (1e-3, 1e3),
    "ctf/accel_kv": (1.0, 5e3),
    "ctf/amp_contrast": (0.0, 1.0),
}
"""Beyond them a value can only be an error."""


def require(table: CsTable, what: str, names: tuple[str, ...]) -> None:
    """Refuse a table without these columns."""
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(
            f"there are no {what} columns" if len(missing) == len(names) else f"{what} columns are missing",
            file=table.path,
            expected=", ".join(names),
            found=f"no {', '.join(missing)}",
            remedy="CryoSPARC keeps such columns in the job's passthrough .cs: join it with passthrough=",
        )


def numbers(table: CsTable, name: str, width: int = 0) -> NDArray[np.float64]:
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
    found: NDArray[np.float64] = values.astype(np.float64)
    rows = found.reshape(len(table), -1)
    refuse(table, name, ~np.isfinite(rows).all(axis=1), "is not finite", "a finite number")
    if name in LIMITS:
        low, high = LIMITS[name]
        outside = ((rows < low) | (rows > high)).any(axis=1)
        refuse(table, name, outside, "is not possible", f"{low:g} to {high:g}")
    return found


def refuse(table: CsTable, name: str, bad: ArrayLike, problem: str, expected: str) -> None:
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


def optional(table: CsTable, name: str, default: float) -> NDArray[np.float64]:
    """Return (N,) a column, or its default where it is not there."""
    return numbers(table, name) if name in table else np.full(len(table), default)


def choice_of(table: CsTable, name: str, choices: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Return a column of a few allowed values, None where it is not there."""
    if name not in table:
        return None
    values = numbers(table, name)
    refuse(table, name, ~np.isin(values, choices), "is not possible", " or ".join(f"{c:g}" for c in choices))
    return values


def text(table: CsTable, name: str) -> NDArray[np.str_]:
    """Return (N,) a column of text that is nowhere empty."""
    values = table[name]
    if values.dtype.kind not in "SU":
        raise InputError(
            f"the column {name} is not text",
            file=table.place(name, 0)[0],
            expected="text",
            found=f"type {values.dtype}",
            remedy="export the particles from CryoSPARC again",
        )
    found = decoded(table, name)
    refuse(table, name, found == "", "is empty", "a path")
    return found


def decoded(table: CsTable, name: str) -> NDArray[np.str_]:
    """Return a column of text, of any shape, refusing what no STAR file can hold, as tabs."""
    values = table[name]
    try:
        found: NDArray[np.str_] = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise InputError(
            f"the column {name} is not UTF-8 text",
            file=table.place(name, 0)[0],
            expected="UTF-8",
            found=error.reason,
            remedy="export the particles from CryoSPARC again",
        ) from error
    if found.dtype.itemsize:
        letters = np.ascontiguousarray(found).reshape(len(table), -1).view(np.uint32)
        bad = (letters > _LAST_LETTER) | ((letters >= _HALVES[0]) & (letters <= _HALVES[1]))
        if bad.any():
            file, row = table.place(name, int(bad.any(axis=1).argmax()))
            raise InputError(
                f"{name} is not text",
                file=file,
                row=row,
                expected="letters of Unicode",
                found="a number that is no letter",
                remedy="the file is damaged: copy it again, or export the particles again",
            )
    distinct, inverse = np.unique(found, return_inverse=True)
    unwritable = np.array([not is_writable(value) for value in distinct.tolist()])
    rows = unwritable[inverse].reshape(len(table), -1).any(axis=1)
    refuse(table, name, rows, "holds a control character, or quotes of both kinds", "letters and signs")
    return found
