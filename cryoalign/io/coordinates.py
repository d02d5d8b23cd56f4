"""Where on its micrograph each particle's image was cut out."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.errors import InputError, within
from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.locate import files_at_hand
from cryoalign.io.mrc_header import read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

_IN_STAR = ("rlnCoordinateX", "rlnCoordinateY")
_IN_CS = ("location/center_x_frac", "location/center_y_frac")
COORDINATES = (*_IN_STAR, *_IN_CS)
"""Names of the columns, of either program."""
_SHAPE = ("location/micrograph_shape[1]", "location/micrograph_shape[0]")  # x, y: the file says rows first
_CS_PIXEL_SIZE = "location/micrograph_psize_A"
_PIXEL_SIZES = (1e-3, 1e3)  # A
_SAME = 1e-4


def box_centres(particles: Particles, pixel_size: float | None = None) -> NDArray[np.float64]:
    """Return where pixel ``N // 2`` of each image lies on its micrograph.

    RELION cuts images around whole pixels: it drops the fraction of ``rlnCoordinateX`` and ``Y``.
    CryoSPARC's fractions of a micrograph are rounded to whole pixels.

    Parameters
    ----------
    particles : Particles
        N particles.
    pixel_size : float, optional
        Of the micrographs in A; by default what the metadata say, else that of the images.

    Returns
    -------
    (N, 2) float64
        x and y in A from the centre of the micrograph's first pixel.

    Raises
    ------
    InputError
        If there are no coordinates or micrographs, or a coordinate lies outside its micrograph: of a STAR
        file, below 0, or beyond the sides of the micrograph where that is at hand.
    """
    names = _IN_CS if from_cryosparc(particles) else _IN_STAR
    missing = [name for name in names if name not in particles.table]
    if missing:
        raise InputError(
            "the particles have no coordinates, so that their neighbours are not known",
            file=particles.source,
            expected=" and ".join(names),
            found=f"no {' and no '.join(missing)}",
            remedy="give the metadata of an extraction or of what was made from it"
            + (", with passthrough=" if names == _IN_CS else "")
            + ", or leave neighbours out",
        )
    unnamed = np.flatnonzero(particles.micrograph == "")
    if len(unnamed):
        raise InputError(
            f"{len(unnamed)} of {len(particles)} particles do not say their micrograph, so that their "
            "neighbours are not known",
            file=particles.source,
            row=int(particles.row[unnamed[0]]),
            expected="location/micrograph_path" if names == _IN_CS else "rlnMicrographName",
            found="no name",
            remedy="give the metadata of an extraction, or leave neighbours out",
        )
    sizes = _micrograph_pixel_sizes(particles, pixel_size)
    return np.column_stack([_whole_pixels(particles, axis) for axis in (0, 1)]) * sizes[:, None]


def _whole_pixels(particles: Particles, axis: int) -> NDArray[np.float64]:
    """(N,) x or y in px; refuse what lies outside the micrograph."""
    if not from_cryosparc(particles):
        name = _IN_STAR[axis]
        given = _numbers(particles, name)
        sides = _sides(particles)[:, axis]
        bad = ~((given >= 0) & (np.trunc(given) <= sides))
        if bad.any():
            side = sides[np.flatnonzero(bad)[0]]
            known = f"0 to {side:g} px" if np.isfinite(side) else "0 px or more"
            _refuse(particles, name, bad, f"{known}, counted in pixels of the micrograph")
        return np.trunc(given)
    name, side = _IN_CS[axis], _SHAPE[axis]
    if side not in particles.table:
        raise InputError(
            "the size of the micrographs is not known",
            file=particles.source,
            expected="location/micrograph_shape",
            remedy="join the job's passthrough .cs with passthrough=",
        )
    given = _numbers(particles, name)
    _refuse(particles, name, ~((given >= 0) & (given <= 1)), "0 to 1")
    return np.rint(given * _numbers(particles, side))


def _sides(particles: Particles) -> NDArray[np.float64]:
    """(N, 2) of the micrograph of each, in px along x and y; infinite where its file is not at hand."""
    names, place = np.unique(particles.micrograph, return_inverse=True)
    sides = np.full((len(names), 2), np.inf)
    files = files_at_hand(names.tolist(), particles.source)
    for number, name in enumerate(names.tolist()):
        with suppress(InputError):  # a movie in another format, say
            sides[number] = read_header(files[name]).shape[:2] if name in files else np.inf
    return sides[place.reshape(-1)]


def _refuse(particles: Particles, name: str, bad: NDArray[np.bool_], expected: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        raise InputError(
            f"{name} lies outside the micrograph ({len(rows)} of {len(bad)} rows)",
            file=particles.source,
            row=int(particles.row[rows[0]]),
            expected=expected,
            found=particles.table[name].iloc[rows[0]],
            remedy="correct the cell or remove the row, or leave neighbours out",
        )


def _numbers(particles: Particles, name: str) -> NDArray[np.float64]:
    """(N,) a column; NaN of what is no number, and of what is not finite."""
    values = pd.to_numeric(particles.table[name], errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _micrograph_pixel_sizes(particles: Particles, given: float | None) -> NDArray[np.float64]:
    """(N,) in A; say where they are from, since a wrong one puts all neighbours into wrong places."""
    images = particles.optics_column("pixel_size")
    if given is not None:
        size = within("micrograph_pixel_size", given, *_PIXEL_SIZES, unit="A")
        return np.full(len(particles), size, dtype=np.float64)
    if from_cryosparc(particles):
        named = _CS_PIXEL_SIZE in particles.table
        sizes = _numbers(particles, _CS_PIXEL_SIZE) if named else np.full(len(particles), np.nan)
        unknown = np.full(len(particles), not named)
    else:
        groups = [group.micrograph_pixel_size for group in particles.optics]
        unknown = np.array([size is None for size in groups])[particles.optics_index]
        sizes = np.array([np.nan if size is None else size for size in groups])[particles.optics_index]
    low, high = _PIXEL_SIZES
    bad = np.flatnonzero(~unknown & ~((sizes >= low) & (sizes <= high)))
    if len(bad):
        raise InputError(
            "the pixel size of the micrographs is not possible",
            file=particles.source,
            expected=f"{low:g} to {high:g} A",
            found=f"{sizes[bad[0]]:g} A of the particle in row {particles.row[bad[0]]}",
            remedy="give it with micrograph_pixel_size=",
        )
    sizes = np.where(unknown, images, sizes)
    if unknown.any():
        _log.warning(
            "%s: the pixel size of the micrographs is not known; that of the images, %g A, is taken. If an "
            "extraction made these smaller, give micrograph_pixel_size=",
            particles.source, images[unknown][0],
        )  # fmt: skip
    elif (apart := np.flatnonzero(np.abs(sizes / images - 1) > _SAME)).size:
        _log.info(
            "%s: coordinates are taken for pixels of %g A, and images have %g A. If the former is that of "
            "movies which motion correction made smaller, give micrograph_pixel_size=",
            particles.source, sizes[apart[0]], images[apart[0]],
        )  # fmt: skip
    return sizes
