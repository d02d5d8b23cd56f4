"""Optics groups of RELION STAR files, 3.1 (a table of their own) and 3.0 (columns of every row)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cryoalign.errors import InputError
from cryoalign.io.relion.star import numbers, whole_numbers
from cryoalign.particles import Optics

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
PIXEL_SIZE = ("rlnImagePixelSize", "rlnPixelSize")
MAGNIFICATION = ("rlnMagnification", "rlnDetectorPixelSize")
OPTIONAL = ("rlnImageSize", "rlnCtfDataAreCtfPremultiplied")
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

COLUMNS = (
    "rlnOpticsGroupName", "rlnImageDimensionality",
    *LENS, *PIXEL_SIZE, *MAGNIFICATION, *OPTIONAL, *ABERRATIONS,
)  # fmt: skip
"""Columns that belong into the optics table and are taken out of a single table."""


def read_optics(
    path: Path, particles: pd.DataFrame, optics: pd.DataFrame | None
) -> tuple[tuple[Optics, ...], NDArray[np.int64]]:
    """Read the optics groups and give each particle its own.

    Parameters
    ----------
    path : Path
        The STAR file, for errors.
    particles : DataFrame
        The table of particles, N rows of strings.
    optics : DataFrame or None
        The table of optics groups; None for a 3.0 file, in which one group is made of each distinct
        combination.

    Returns
    -------
    groups : tuple of Optics
    index : (N,) int64
        Index of each particle's group in `groups`.

    Raises
    ------
    InputError
        If columns are missing, a value is not usable, or a particle names a group that is not there.
    """
    if optics is None:
        values, aberrations = _values(path, particles, ""), _aberrations(path, particles, "")
        key = np.column_stack([values, *(column.code for column in aberrations.values())])
        _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        groups = tuple(
            _optics(rank + 1, f"opticsGroup{rank + 1}", values[row], aberrations, row)
            for rank, row in enumerate(first[order])
        )
        return groups, np.argsort(order)[inverse.reshape(-1)].astype(np.int64)
    if not len(optics):
        raise InputError("the table data_optics has no rows", file=path)
    values, aberrations = _values(path, optics, "data_optics"), _aberrations(path, optics, "data_optics")
    numbering = _group_numbers(path, optics)
    names = optics.get("rlnOpticsGroupName", [f"opticsGroup{group}" for group in numbering])
    groups = tuple(
        _optics(int(group), str(name), values[row], aberrations, row)
        for row, (group, name) in enumerate(zip(numbering, names, strict=True))
    )
    return groups, _match(path, particles, numbering)


def _group_numbers(path: Path, optics: pd.DataFrame) -> NDArray[np.int64]:
    """Return the distinct ``rlnOpticsGroup`` of the optics table."""
    if "rlnOpticsGroup" not in optics:
        if len(optics) > 1:
            raise InputError(
                "the table data_optics does not number its groups", file=path, expected="rlnOpticsGroup"
            )
        return np.ones(1, dtype=np.int64)
    numbering = whole_numbers(optics, "rlnOpticsGroup", path, where="data_optics")
    for row, group in enumerate(numbering):
        if group in numbering[:row]:
            raise InputError(
                f"optics group {group} is there twice in table data_optics", file=path, row=row + 1
            )
    return numbering


def _match(path: Path, particles: pd.DataFrame, numbering: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find each particle's group."""
    if "rlnOpticsGroup" not in particles:
        if len(numbering) > 1:
            raise InputError(
                "the particles do not say to which optics group they belong",
                file=path,
                expected="rlnOpticsGroup",
            )
        return np.zeros(len(particles), dtype=np.int64)
    wanted = whole_numbers(particles, "rlnOpticsGroup", path)
    order = np.argsort(numbering)
    place = np.searchsorted(numbering[order], wanted).clip(max=len(numbering) - 1)
    index: NDArray[np.int64] = order[place].astype(np.int64)
    strange = np.flatnonzero(numbering[index] != wanted)
    if len(strange):
        raise InputError(
            "a particle belongs to an optics group that the table data_optics does not have",
            file=path,
            row=int(strange[0]) + 1,
            expected=f"one of {', '.join(map(str, numbering))}",
            found=int(wanted[strange[0]]),
            remedy="add the group to data_optics or remove its particles",
        )
    return index


def _values(path: Path, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Return (M, 6) pixel size, voltage, Cs, contrast, box or 0, premultiplied."""
    missing = [name for name in LENS if name not in table]
    if missing:
        raise InputError(
            f"CTF columns are missing{f' in table {where}' if where else ''}",
            file=path,
            expected=", ".join(missing),
            remedy="use a STAR file that holds a CTF estimation, e.g. run_data.star of a refinement",
        )
    if "rlnImageDimensionality" in table:
        dimensions = numbers(table, "rlnImageDimensionality", path, where=where)
        if (dimensions != 2).any():
            row = int(np.flatnonzero(dimensions != 2)[0])
            raise InputError(
                "the particles are not 2D images",
                file=path,
                row=row + 1,
                expected=2,
                found=f"{dimensions[row]:g} dimensions",
            )
    optional = [
        numbers(table, name, path, where=where) if name in table else np.zeros(len(table))
        for name in OPTIONAL
    ]
    columns = [
        _pixel_size(path, table, where),
        *(numbers(table, name, path, where=where) for name in LENS),
        *optional,
    ]
    values = np.column_stack(columns)
    _check_limits(path, values, where)
    return values


def _check_limits(path: Path, values: NDArray[np.float64], where: str) -> None:
    """Refuse what can only be a slip of the pen or of the unit."""
    limits = {
        "pixel size in A": (0, 1e-3, 1e3),
        "rlnVoltage in kV": (1, 1.0, 5e3),
        "rlnAmplitudeContrast": (3, 0.0, 1.0),
    }
    for what, (column, low, high) in limits.items():
        bad = np.flatnonzero((values[:, column] < low) | (values[:, column] > high))
        if len(bad):
            raise InputError(
                f"the {what} is not possible{f' in table {where}' if where else ''}",
                file=path,
                row=int(bad[0]) + 1,
                expected=f"{low:g} to {high:g}",
                found=f"{values[bad[0], column]:g}",
            )


def _pixel_size(path: Path, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Pixel size in A, directly or as 10^4 x detector pixel size in um / magnification."""
    for name in PIXEL_SIZE:
        if name in table:
            return numbers(table, name, path, where=where)
    if any(name not in table for name in MAGNIFICATION):
        raise InputError(
            f"there is no pixel size{f' in table {where}' if where else ''}",
            file=path,
            expected=f"{PIXEL_SIZE[0]}, or {' and '.join(MAGNIFICATION)}",
            remedy="add the column",
        )
    magnification, detector = (numbers(table, name, path, where=where) for name in MAGNIFICATION)
    bad = np.flatnonzero(magnification <= 0)
    if len(bad):
        raise InputError(
            "the magnification is not positive",
            file=path,
            row=int(bad[0]) + 1,
            found=f"{magnification[bad[0]]:g}",
        )
    return 1e4 * detector / magnification


class _Column(NamedTuple):
    """A column whose cells are few different ones: their values, and which of them each row has."""

    code: NDArray[np.int64]
    distinct: list[tuple[float, ...]]

    def at(self, row: int) -> tuple[float, ...]:
        return self.distinct[int(self.code[row])]


def _aberrations(path: Path, table: pd.DataFrame, where: str) -> dict[str, _Column]:
    """Read numbers and vectors such as ``[0.1,0.2]``; a cell that says nothing means no aberration."""
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
            )
        columns[name] = _Column(code.astype(np.int64), [value for value in values if value is not None])
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


def _check_magnification(path: Path, columns: dict[str, _Column], rows: int) -> None:
    """Refuse a matrix that mirrors, flattens, or changes the area by more than a factor of two."""
    elements = [
        np.array([value for (value,) in columns[name].distinct])[columns[name].code]
        for name in MAGNIFICATION_MATRIX
    ]
    area = elements[0] * elements[3] - elements[1] * elements[2]
    bad = np.flatnonzero((area < 0.5) | (area > 2))
    if rows and len(bad):
        raise InputError(
            "the magnification matrix is not possible",
            file=path,
            row=int(bad[0]) + 1,
            expected="a determinant of 0.5 to 2",
            found=f"{', '.join(f'{element[bad[0]]:g}' for element in elements)}: {area[bad[0]]:g}",
        )


def _optics(
    group: int, name: str, values: NDArray[np.float64], aberrations: dict[str, _Column], row: int
) -> Optics:
    pixel_size, voltage, aberration, contrast, box, premultiplied = (float(value) for value in values)
    (tilt_x,), (tilt_y,) = (aberrations[column].at(row) for column in BEAM_TILT)
    (xx,), (xy,), (yx,), (yy,) = (aberrations[column].at(row) for column in MAGNIFICATION_MATRIX)
    return Optics(
        group=group,
        name=name,
        pixel_size=pixel_size,
        voltage=voltage,
        spherical_aberration=aberration,
        amplitude_contrast=contrast,
        box_size=int(box) or None,
        premultiplied=bool(premultiplied),
        beam_tilt=(tilt_x, tilt_y),
        odd_zernike=aberrations[ODD_ZERNIKE].at(row),
        even_zernike=aberrations[EVEN_ZERNIKE].at(row),
        magnification=(xx, xy, yx, yy),
    )
