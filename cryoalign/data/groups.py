"""Groups of particles that stay together: named by a column of the metadata, and numbered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.relion.read import MICROGRAPH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_OPTICS_COLUMNS = {
    "rlnOpticsGroup": "group",
    "rlnOpticsGroupName": "name",
    "rlnVoltage": "voltage",
    "rlnImagePixelSize": "pixel_size",
}


def group_names(particles: Particles, by: str = MICROGRAPH, pattern: str | None = None) -> NDArray[np.str_]:
    """Return the group of each particle: those of one micrograph, unless told otherwise.

    Parameters
    ----------
    particles : Particles
        N particles.
    by, pattern
        As in `split_particles`.

    Returns
    -------
    (N,) str

    Raises
    ------
    InputError
        If the column is missing or a row has no value or does not match.
    """
    values = _column(particles, by)
    if pattern is not None:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise InputError(
                "data.split.pattern is not a regular expression",
                expected="a pattern of Python's re",
                found=f"{pattern}: {error}",
                remedy="correct it, or leave data.split.pattern out for each name as a whole",
            ) from error
        names = {value: _matched(expression, value) for value in np.unique(values).tolist()}
        values = np.array([names[value] for value in values.tolist()], dtype=np.str_)
    empty = np.flatnonzero(values == "")
    if len(empty):
        row = int(empty[0])
        raise InputError(
            f"a particle has no group: {by} " + ("does not match the pattern" if pattern else "is empty"),
            file=particles.source,
            row=int(particles.row[row]),
            expected=f"something that matches {pattern}" if pattern else "a name",
            found=_column(particles, by)[row] or "an empty cell",
            remedy="correct data.split.pattern, or split by another column",
        )
    return values


def number_groups(names: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each particle's group, in the order of the names.

    Parameters
    ----------
    names : (N,) or (N, columns)
        Name of the group of each particle; of a table, a whole row is the name.

    Returns
    -------
    (N,) int64
        0-based, without gaps.
    """
    axis = None if names.ndim == 1 else 0
    return np.unique(names, axis=axis, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _matched(expression: re.Pattern[str], value: str) -> str:
    match = expression.search(value)
    return "" if match is None else (match.group(1) if expression.groups else match.group()) or ""


def _column(particles: Particles, by: str) -> NDArray[np.str_]:
    """Return (N,) the values of a column as text."""
    if by == MICROGRAPH and (particles.micrograph != "").any():
        return particles.micrograph
    if by != MICROGRAPH and by in particles.table:
        return np.array(particles.table[by].astype("str").to_list(), dtype=np.str_)
    if by in _OPTICS_COLUMNS:
        values = [str(getattr(group, _OPTICS_COLUMNS[by])) for group in particles.optics]
        return np.array(values, dtype=np.str_)[particles.optics_index]
    known = ", ".join(map(str, particles.table.columns))
    if by == MICROGRAPH and from_cryosparc(particles):
        raise InputError(
            "the particles do not name their micrographs, and one stack may hold those of many",
            file=particles.source,
            expected="location/micrograph_path",
            found=known,
            remedy="join the job's passthrough .cs with passthrough= (data.passthrough= in a training); "
            "where each stack holds one micrograph, split by blob/path instead (by=, data.split.by=)",
        )
    raise InputError(
        "the column to split by is missing",
        file=particles.source,
        expected=by,
        found=known,
        remedy="choose one of those with data.split.by=",
    )
