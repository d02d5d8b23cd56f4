"""Higher aberrations in RELION's optics tables: numbers, and vectors of any length in brackets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BEAM_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
ODD_ZERNIKE, EVEN_ZERNIKE = "rlnOddZernike", "rlnEvenZernike"
MAGNIFICATION_MATRIX = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
ABERRATIONS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(BEAM_TILT, (0.0,)),
    ODD_ZERNIKE: (),
    EVEN_ZERNIKE: (),
    **dict(zip(MAGNIFICATION_MATRIX, ((1.0,), (0.0,), (0.0,), (1.0,)), strict=True)),
}
"""Columns of higher aberrations, each with the values that mean none; a vector may be of any length."""


class AberrationColumn(NamedTuple):
    """A column whose cells are few different ones: their values, and which of them each row has."""

    code: NDArray[np.int64]
    distinct: list[tuple[float, ...]]

    def at(self, row: int) -> tuple[float, ...]:
        """Return the values of one row."""
        return self.distinct[int(self.code[row])]


def read_aberrations(path: Path, table: pd.DataFrame, where: str) -> dict[str, AberrationColumn]:
    """Read numbers and vectors such as ``[0.1,0.2]``; an empty cell means no aberration."""
    columns = {}
    for name, none in ABERRATIONS.items():
        cells = table[name].astype(str) if name in table else pd.Series("none", index=range(len(table)))
        code, distinct = pd.factorize(cells)
        values = [_parse(cell, none) for cell in distinct]
        wrong = next((place for place, value in enumerate(values) if value is None), None)
        if wrong is not None:
            raise InputError(
                f"{name} cannot be read{f' in table {where}' if where else ''}",
                file=path,
                row=int(np.flatnonzero(code == wrong)[0]) + 1,
                expected="a finite number" if none else "finite numbers in brackets, as in [0.1,0.2]",
                found=distinct[wrong],
                remedy=f"correct the cell, or remove the column {name}",
            )
        read = [value for value in values if value is not None]
        columns[name] = AberrationColumn(code.astype(np.int64), read)
    _check_magnification(path, columns, len(table))
    return columns


def _parse(cell: str, none: tuple[float, ...]) -> tuple[float, ...] | None:
    """Read one cell; None if it cannot be."""
    inner = cell.strip()
    if inner.lower() in {"", "none", "nan", "<na>"}:
        return none
    if inner.startswith("[") and inner.endswith("]") and not none:
        inner = inner[1:-1]
    try:
        values = tuple(float(part) for part in inner.split(",")) if inner.strip() else ()
    except ValueError:
        return None
    return values if np.isfinite(values).all() and (not none or len(values) == 1) else None


def _check_magnification(path: Path, columns: dict[str, AberrationColumn], rows: int) -> None:
    """Refuse a matrix that mirrors, flattens, or changes the area by more than a factor of two."""
    elements = [
        np.array([value for (value,) in columns[name].distinct])[columns[name].code]
        for name in MAGNIFICATION_MATRIX
    ]
    xx, xy, yx, yy = elements
    with np.errstate(over="ignore", invalid="ignore"):
        area = xx * yy - xy * yx
    bad = np.flatnonzero(~((area >= 0.5) & (area <= 2)) | (np.abs(elements) > 2).any(axis=0))
    if rows and len(bad):
        raise InputError(
            "the magnification matrix is not possible",
            file=path,
            row=int(bad[0]) + 1,
            expected="elements of -2 to 2, with a determinant of 0.5 to 2",
            found=f"{', '.join(f'{element[bad[0]]:g}' for element in elements)}: {area[bad[0]]:g}",
            remedy="correct the four rlnMagMat columns of the row; without distortion they are 1, 0, 0, 1",
        )
