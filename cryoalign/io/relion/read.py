"""RELION STAR files into the vocabulary: 3.0 (one table) and 3.1 and later (with a table of optics groups).

RELION 3.1's convention is described in DOI 10.1107/S2052252520000081.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.errors import InputError
from cryoalign.io.relion.missing_ctf import DEFOCUS, fill_ctf
from cryoalign.io.relion.optics import read_optics
from cryoalign.io.relion.star import LARGEST_WHOLE, numbers, read_star, whole_numbers
from cryoalign.io.relion.subtomograms import refuse_subtomograms
from cryoalign.particles import Particles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.io.relion.missing_ctf import MissingCtf

POSE = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGIN_ANGST = ("rlnOriginXAngst", "rlnOriginYAngst")
ORIGIN_PIXELS = ("rlnOriginX", "rlnOriginY")
_SAME_ORIGIN = 0.05  # A
IMAGE, ORIGINAL, MICROGRAPH, HALF = (
    "rlnImageName",
    "rlnImageOriginalName",
    "rlnMicrographName",
    "rlnRandomSubset",
)
_log = logging.getLogger(__name__)

_OF_A_REFINEMENT = "use the STAR file of a 3D refinement, e.g. run_data.star"


def read_particles(
    path: Path | str, missing_ctf: MissingCtf = "refuse", pixel_size: float | None = None
) -> Particles:
    """Read a RELION STAR file.

    Parameters
    ----------
    path : Path or str
        Of RELION 3.0 or older (a single table of any name) or of 3.1 or later (``data_optics`` and
        ``data_particles``).
    missing_ctf : {"refuse", "neutral"}
        With "neutral", particles without a CTF get one that is 1 everywhere, and a missing amplitude contrast
        is 0; see `cryoalign.io.relion.missing_ctf.fill_ctf`.
    pixel_size : float, optional
        Of the images in A; by default that of the file.

    Returns
    -------
    Particles
        Origins converted to A; columns that RELION may leave out (phase shift, B-factor, scale,
        half-set) take their neutral values. In `table`, columns of numbers are numbers and names stay
        text.

    Raises
    ------
    InputError
        If the file is missing, empty or not a STAR file, lacks columns, holds a cell that cannot be used, or
        its particles are sub-tomograms.
    """
    path = Path(path)
    return particles_of(path, read_star(path), missing_ctf, pixel_size)


def particles_of(
    path: Path, tables: dict[str, pd.DataFrame], missing_ctf: MissingCtf, pixel_size: float | None
) -> Particles:
    """Return the particles of the tables of a STAR file, as `read_particles` does, and as it refuses."""
    refuse_subtomograms(path, tables)
    table, groups = fill_ctf(path, _particle_table(path, tables), tables.get("optics"), missing_ctf)
    _require(path, table, "pose", POSE, _OF_A_REFINEMENT)
    _require(
        path, table, "CTF", DEFOCUS, f"{_OF_A_REFINEMENT}, or take the CTF for 1 with missing_ctf=neutral"
    )
    optics, index = read_optics(path, table, groups, pixel_size)
    sizes = np.array([group.pixel_size for group in optics])[index]
    stack, slot = parse_image_names(table[IMAGE], IMAGE, path)
    return Particles(
        source=path,
        optics=optics,
        row=np.arange(1, len(table) + 1),
        optics_index=index,
        stack=stack,
        slot=slot,
        micrograph=_text(table[MICROGRAPH]) if MICROGRAPH in table else np.full(len(table), ""),
        angles=np.column_stack([numbers(table, name, path) for name in POSE]),
        shift=_shift(path, table, sizes),
        defocus=np.column_stack([numbers(table, name, path) for name in DEFOCUS]),
        phase_shift=_optional(path, table, "rlnPhaseShift", 0.0),
        ctf_bfactor=_optional(path, table, "rlnCtfBfactor", 0.0),
        ctf_scale=_optional(path, table, "rlnCtfScalefactor", 1.0),
        half=whole_numbers(table, HALF, path) if HALF in table else np.zeros(len(table), dtype=np.int64),
        sign=np.ones(len(table)),
        table=table.apply(_native),
    )


def parse_image_names(
    names: pd.Series[str], column: str, path: Path, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Split ``NNNNNN@stack`` into stack and slot.

    Parameters
    ----------
    names : (N,) Series of str
        Image names; one without a number is the first image of its stack.
    column : str
        Where they come from, for the error.
    path : Path
        The file, for the error.
    rows : (N,) int64, optional
        Their 1-based rows in that file; default 1 to N.

    Returns
    -------
    stack : (N,) str
    slot : (N,) int64
        0-based.

    Raises
    ------
    InputError
        Naming the first row whose cell is not the name of an image.
    """
    parts = names.astype("str").str.extract(r"^(?:([0-9]{1,18})@)?([^@].*)$")
    number = pd.to_numeric(parts[0]).fillna(1).to_numpy(dtype=np.int64)
    malformed = parts[1].isna() | (number < 1) | (parts[0].isna() & names.str.contains("@", regex=False))
    bad = np.flatnonzero(malformed.to_numpy(dtype=bool))
    if len(bad):
        raise InputError(
            f"{column} does not name an image",
            file=path,
            row=int(bad[0]) + 1 if rows is None else int(rows[bad[0]]),
            expected="NNNNNN@stack.mrcs with a number from 1, or the name of a stack",
            found=names.iloc[bad[0]] or "an empty cell",
            remedy="write it as in 000001@stack.mrcs, or remove the row",
        )
    return _text(parts[1]), number - 1


def _particle_table(path: Path, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Find the one table that names images."""
    found = [name for name, table in tables.items() if IMAGE in table and name != "optics"]
    if not found:
        raise InputError(
            "no table of particles",
            file=path,
            expected=f"a table with the column {IMAGE}",
            found=", ".join(f"data_{name}" for name in tables),
            remedy="use the STAR file of extracted or refined particles",
        )
    if len(found) > 1 and "particles" not in found:
        names = ", ".join(f"data_{name}" for name in found)
        raise InputError(
            f"several tables have the column {IMAGE}",
            file=path,
            expected="one",
            found=names,
            remedy="leave one of them in the file, or call it data_particles",
        )
    table = tables["particles" if "particles" in found else found[0]]
    for name in [name for name in found if len(found) > 1 and name != "particles"]:
        _log.warning(
            "%s: only data_particles is read; data_%s has the column %s, too, in %d rows",
            path, name, IMAGE, len(tables[name]),
        )  # fmt: skip
    if not len(table):
        raise InputError(
            "the table of particles has no rows",
            file=path,
            expected="at least one particle",
            found="none",
            remedy="give a STAR file that holds some; was a selection left empty?",
        )
    return table


def _require(path: Path, table: pd.DataFrame, what: str, names: tuple[str, ...], remedy: str) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(
            f"there are no {what} columns" if len(missing) == len(names) else f"{what} columns are missing",
            file=path,
            expected=", ".join(names),
            found=f"no {', '.join(missing)}",
            remedy=remedy,
        )


def _shift(path: Path, table: pd.DataFrame, pixel_size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Origins in A; RELION, too, takes missing ones for zero."""
    columns = []
    for in_angst, in_pixels in zip(ORIGIN_ANGST, ORIGIN_PIXELS, strict=True):
        if in_angst in table:
            columns.append(numbers(table, in_angst, path))
            if in_pixels in table:
                other = numbers(table, in_pixels, path) * pixel_size
                _refuse_two_origins(path, (in_angst, in_pixels), columns[-1], other)
        elif in_pixels in table:
            columns.append(numbers(table, in_pixels, path) * pixel_size)
        else:
            columns.append(np.zeros(len(table)))
    return np.column_stack(columns)


def _refuse_two_origins(
    path: Path, names: tuple[str, str], angst: NDArray[np.float64], other: NDArray[np.float64]
) -> None:
    """Refuse two columns, both in A, that say different origins."""
    apart = np.flatnonzero(np.abs(angst - other) > _SAME_ORIGIN)
    if len(apart):
        row = int(apart[0])
        raise InputError(
            f"{names[0]} contradicts {names[1]} ({len(apart)} of {len(angst)} rows)",
            file=path,
            row=row + 1,
            expected=f"one origin, within {_SAME_ORIGIN:g} A",
            found=f"{angst[row]:g} A, and {other[row]:g} A by the pixel size",
            remedy=f"remove the wrong column; RELION takes {names[0]}",
        )


def _optional(path: Path, table: pd.DataFrame, name: str, default: float) -> NDArray[np.float64]:
    return numbers(table, name, path) if name in table else np.full(len(table), default)


def _text(column: pd.Series[str]) -> NDArray[np.str_]:
    return np.array(column.to_list(), dtype=np.str_)


def _native(column: pd.Series[str]) -> pd.Series[str] | pd.Series[float]:
    """Convert a column to numbers unless it is a name or its text would change when written."""
    if "Name" in str(column.name) or column.str.match(r"[-+]?0\d").any():
        return column
    values = pd.to_numeric(column, errors="coerce")
    no_number = (values.isna() & (column != "nan")) | (
        column.str.fullmatch(r"[-+]?[0-9]+") & (values.abs() > LARGEST_WHOLE)
    )
    return column if no_number.any() or values.isna().all() else values
