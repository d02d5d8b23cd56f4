"""Columns of a CryoSPARC table, refused where their form or a value is not possible."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoalign.io.cryosparc.table import CsTable

_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
LIMITS = {
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
            f"the column {name} is not text", file=table.place(name, 0)[0], found=f"type {values.dtype}"
        )
    try:
        found: NDArray[np.str_] = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise InputError(
            f"the column {name} is not UTF-8 text", file=table.place(name, 0)[0], found=error.reason
        ) from error
    refuse(table, name, found == "", "is empty", "a path")
    refuse_control(table, name, found)
    return found


def refuse_control(table: CsTable, name: str, found: NDArray[np.str_]) -> None:
    """Refuse text with line breaks, tabs or other control characters: no STAR file can hold it."""
    distinct, inverse = np.unique(found, return_inverse=True)
    bad = np.array([_CONTROL.search(value) is not None for value in distinct.tolist()])
    rows = bad[inverse].reshape(len(table), -1).any(axis=1)
    refuse(table, name, rows, "holds a control character", "letters and signs")
