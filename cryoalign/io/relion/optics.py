"""Optics groups of RELION STAR files, 3.1 (a separate table) and 3.0 (columns of every row)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cryoalign.errors import InputError, within
from cryoalign.io.relion.aberrations import (
    ABERRATIONS,
    BEAM_TILT,
    EVEN_ZERNIKE,
    MAGNIFICATION_MATRIX,
    ODD_ZERNIKE,
    AberrationColumn,
    read_aberrations,
)
from cryoalign.io.relion.pixel_size import MAGNIFICATION, PIXEL_SIZE, pixel_sizes
from cryoalign.io.relion.star import numbers, whole_numbers
from cryoalign.particles import Optics

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
MICROGRAPH_PIXEL_SIZE = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
OPTIONAL = ("rlnImageSize", "rlnCtfDataAreCtfPremultiplied")
COLUMNS = (
    "rlnOpticsGroupName", "rlnImageDimensionality",
    *LENS, *PIXEL_SIZE, *MAGNIFICATION, *OPTIONAL, *ABERRATIONS,
)  # fmt: skip
"""Columns that belong into the optics table and are taken out of a single table."""


_PIXEL_SIZES = (1e-3, 1e3)  # A
_REMEDIES = {
    "pixel size in A": "correct the cell, or give pixel_size= (data.pixel_size= in a training)",
    "rlnVoltage in kV": "correct the cell; microscopes have 80 to 300 kV",
    "rlnAmplitudeContrast": "correct the cell; 0.07 to 0.1 is usual",
    OPTIONAL[0]: "correct the cell to the box size in px, or remove the column",
    OPTIONAL[1]: "write 1 if the images were multiplied by their CTF, 0 if not",
}


class _Lens(NamedTuple):
    """What M rows say of pixel size and microscope: (M,) float64 each, units as in `Optics`."""

    pixel_size: NDArray[np.float64]
    voltage: NDArray[np.float64]
    spherical_aberration: NDArray[np.float64]
    amplitude_contrast: NDArray[np.float64]
    box_size: NDArray[np.float64]
    """0 where it is not said."""
    premultiplied: NDArray[np.float64]


def read_optics(
    path: Path, particles: pd.DataFrame, optics: pd.DataFrame | None, pixel_size: float | None = None
) -> tuple[tuple[Optics, ...], NDArray[np.int64]]:
    """Read the optics groups, and which of them each particle belongs to.

    Parameters
    ----------
    path : Path
        The STAR file, for errors.
    particles : DataFrame
        The table of particles, N rows of strings.
    optics : DataFrame or None
        The table of optics groups; None for a 3.0 file, in which one group is made of each distinct
        combination.
    pixel_size : float, optional
        In A, whatever the columns say.

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
        lens, aberrations = _lens(path, particles, "", pixel_size), read_aberrations(path, particles, "")
        key = np.column_stack([*lens, *(column.code for column in aberrations.values())])
        _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        groups = tuple(
            _optics(rank + 1, f"opticsGroup{rank + 1}", lens, aberrations, row)
            for rank, row in enumerate(first[order])
        )
        return groups, np.argsort(order)[inverse.reshape(-1)].astype(np.int64)
    if not len(optics):
        raise InputError(
            "the table data_optics has no rows",
            file=path,
            expected="a row for each optics group",
            found="none",
            remedy="use the STAR file as RELION wrote it",
        )
    lens = _lens(path, optics, "data_optics", pixel_size)
    aberrations = read_aberrations(path, optics, "data_optics")
    numbering = _group_numbers(path, optics)
    names = optics.get("rlnOpticsGroupName", [f"opticsGroup{group}" for group in numbering])
    groups = tuple(
        _optics(int(group), str(name), lens, aberrations, row)
        for row, (group, name) in enumerate(zip(numbering, names, strict=True))
    )
    named = next((name for name in MICROGRAPH_PIXEL_SIZE if name in optics), None)
    if named is not None:  # of no use to most, so that it is refused where it is needed
        sizes = pd.to_numeric(optics[named], errors="coerce").to_numpy(dtype=np.float64).tolist()
        groups = tuple(
            replace(group, micrograph_pixel_size=size) for group, size in zip(groups, sizes, strict=True)
        )
    return groups, _match(path, particles, numbering)


def _group_numbers(path: Path, optics: pd.DataFrame) -> NDArray[np.int64]:
    """Return the distinct ``rlnOpticsGroup`` of the optics table."""
    if "rlnOpticsGroup" not in optics:
        if len(optics) > 1:
            raise InputError(
                "the table data_optics does not number its groups",
                file=path,
                expected="rlnOpticsGroup",
                found=f"{len(optics)} groups without a number",
                remedy="add the column",
            )
        return np.ones(1, dtype=np.int64)
    numbering = whole_numbers(optics, "rlnOpticsGroup", path, where="data_optics")
    for row, group in enumerate(numbering):
        if group in numbering[:row]:
            raise InputError(
                f"optics group {group} is there twice in table data_optics",
                file=path,
                row=row + 1,
                expected="a number of its own for each group",
                found=group,
                remedy="give one of them another number, also in its particles",
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
                found=f"{len(numbering)} groups",
                remedy="add the column to the table of particles",
            )
        return np.zeros(len(particles), dtype=np.int64)
    wanted = whole_numbers(particles, "rlnOpticsGroup", path)
    order = np.argsort(numbering)
    place = np.searchsorted(numbering[order], wanted).clip(max=len(numbering) - 1)
    index: NDArray[np.int64] = order[place].astype(np.int64)
    unknown = np.flatnonzero(numbering[index] != wanted)
    if len(unknown):
        raise InputError(
            "a particle belongs to an optics group that the table data_optics does not have",
            file=path,
            row=int(unknown[0]) + 1,
            expected=f"one of {', '.join(map(str, numbering))}",
            found=int(wanted[unknown[0]]),
            remedy="add the group to data_optics or remove its particles",
        )
    return index


def _lens(path: Path, table: pd.DataFrame, where: str, pixel_size: float | None) -> _Lens:
    """Read what all optics groups must have, and what they may."""
    missing = [name for name in LENS if name not in table]
    if missing:
        raise InputError(
            f"CTF columns are missing{f' in table {where}' if where else ''}",
            file=path,
            expected=", ".join(missing),
            remedy="use a STAR file that holds a CTF estimation, e.g. run_data.star of a refinement"
            + (", or take it for 0 with missing_ctf=neutral" if missing == ["rlnAmplitudeContrast"] else ""),
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
                remedy="extract the particles as 2D images",
            )
    optional = [
        numbers(table, name, path, where=where) if name in table else np.zeros(len(table))
        for name in OPTIONAL
    ]
    needed = [numbers(table, name, path, where=where) for name in LENS]
    if pixel_size is None:
        sizes = pixel_sizes(path, table, where)
    else:
        sizes = np.full(len(table), within("pixel_size", pixel_size, *_PIXEL_SIZES, unit="A"), np.float64)
    lens = _Lens(sizes, *needed, *optional)
    _check_limits(path, table, lens, where)
    return lens


def _check_limits(path: Path, table: pd.DataFrame, lens: _Lens, where: str) -> None:
    """Refuse what can only be a typing error or another unit."""
    said = OPTIONAL[0] in table
    for what, values, low, high in (
        ("pixel size in A", lens.pixel_size, *_PIXEL_SIZES),
        ("rlnVoltage in kV", lens.voltage, 1.0, 5e3),
        ("rlnAmplitudeContrast", lens.amplitude_contrast, 0.0, 1.0),
        (OPTIONAL[0], lens.box_size, int(said), 2**31),
        (OPTIONAL[1], lens.premultiplied, 0, 1),
    ):
        fraction = (values != np.round(values)) & (what in OPTIONAL)
        bad = np.flatnonzero((values < low) | (values > high) | fraction)
        if len(bad):
            raise InputError(
                f"the {what} is not possible{f' in table {where}' if where else ''}",
                file=path,
                row=int(bad[0]) + 1,
                expected=f"{'a whole number, ' if what in OPTIONAL else ''}{low:g} to {high:g}",
                found=f"{values[bad[0]]:g}",
                remedy=_REMEDIES[what],
            )


def _optics(group: int, name: str, lens: _Lens, aberrations: dict[str, AberrationColumn], row: int) -> Optics:
    at_row = _Lens(*(column[row] for column in lens))
    (tilt_x,), (tilt_y,) = (aberrations[column].at(row) for column in BEAM_TILT)
    (xx,), (xy,), (yx,), (yy,) = (aberrations[column].at(row) for column in MAGNIFICATION_MATRIX)
    return Optics(
        group=group,
        name=name,
        pixel_size=float(at_row.pixel_size),
        voltage=float(at_row.voltage),
        spherical_aberration=float(at_row.spherical_aberration),
        amplitude_contrast=float(at_row.amplitude_contrast),
        box_size=int(at_row.box_size) or None,
        premultiplied=bool(at_row.premultiplied),
        beam_tilt=(tilt_x, tilt_y),
        odd_zernike=aberrations[ODD_ZERNIKE].at(row),
        even_zernike=aberrations[EVEN_ZERNIKE].at(row),
        magnification=(xx, xy, yx, yy),
    )
