"""Maps in MRC files, brought to one form: a cube whose axes are z, y, x."""

from __future__ import annotations

import logging
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.mrc_header import read_header
from cryoalign.reading import reading

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cryoalign.io.mrc_header import MrcHeader

_log = logging.getLogger(__name__)

SAME = 1e-3
"""Relative difference up to which voxel sizes are meant to be equal."""

_EXACTLY = 1e-6  # A; more than a float32 in a header is rounded by
_OTHER_FIELD = 1.5  # ratio of fields of view
_LONGEST = 4  # times the shortest side: a map that is longer would be padded to a cube that is mostly empty
_TURNS = {(2, 3, 1), (3, 1, 2)}  # orders of axes that turn what is stored; the other ones mirror it


def read_volume(path: Path | str) -> tuple[NDArray[np.float32], float | None]:
    """Read a map as a cube.

    Axes that are stored in another order are brought into that of x, y and z, as the header says and as
    gemmi does it. A map that is not a cube is padded with zeros, so that voxel ``N // 2`` of each axis stays
    ``N // 2``. Where the map begins in its cell (``nxstart``) is not applied, as in RELION. Each is said in
    the log.

    Parameters
    ----------
    path : Path or str
        An MRC file of mode 0, 1, 2, 6 or 12, of either byte order, plain or packed by gzip or bzip2.

    Returns
    -------
    volume : (N, N, N) float32
        ``[z, y, x]``.
    pixel_size : float or None
        Voxel size in A, None where the header does not say.

    Raises
    ------
    InputError
        If the file is missing, empty, not an MRC file, of another mode, truncated, a stack of images, longer
        than four times its shortest side, its axes are no order of x, y and z, its voxels are not cubic, or
        its values are NaN, infinite or all the same.
    """
    path = Path(path)
    with reading(path):
        header = read_header(path)
        order = _axis_order(header)
        _say_order(header, order)
        _check_shape(header)
        cell = [float(header.fields.cella[axis]) / max(int(header.fields[f"m{axis}"]), 1) for axis in "xyz"]
        if max(cell) - min(cell) > 1e-3 * abs(max(cell)):
            raise InputError(
                "the voxels are not cubic",
                file=path,
                expected="one pixel size each way",
                found=" x ".join(f"{size:.5g}" for size in cell) + " A",
                remedy="resample the map to cubic voxels, or correct its header",
            )
        volume = header.values().transpose(order).astype(np.float32)
        if not np.isfinite(volume).all():
            raise InputError(
                "the volume holds NaN or infinite values",
                file=path,
                expected="finite values",
                remedy="write the map again, without a mask that divides by 0",
            )
        if volume.min() == volume.max():
            raise InputError(
                "the volume is constant",
                file=path,
                expected="values that vary",
                found=f"{volume.flat[0]:g} everywhere",
                remedy="give another map; this one holds nothing",
            )
        _say_start(header, order)
        return np.ascontiguousarray(_cube(volume, path)), header.pixel_size


def volume_fingerprint(path: Path | str) -> str:
    """Return a hash of what a map holds: equal values on an equal grid have one, however they are written.

    Parameters
    ----------
    path : Path or str
        A file that `read_volume` reads. Labels, times, statistics, data mode, byte order and packing do not
        count; voxels in the order of x, y and z do, as float32, and the voxel size to six digits.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If the file is missing or not an MRC file.
    """
    path = Path(path)
    with reading(path):
        header = read_header(path)
        volume = header.values().transpose(_axis_order(header))
    digest = sha256(f"{volume.shape} {header.pixel_size or 0:.6g}".encode())
    for section in volume:
        digest.update((section.astype("<f4") + 0.0).tobytes())  # -0 becomes 0
    return digest.hexdigest()


def never_set(voxel_size: float | None) -> bool:
    """Return whether a header's voxel size is one that programs write when nobody set it: none, or 1 A."""
    return voxel_size is None or abs(voxel_size - 1) < _EXACTLY


def images_voxel_size(
    path: Path | str, voxel_size: float, side: int, boxes: Collection[int], pixel_size: float
) -> float:
    """Return the voxel size of a map: that of the images where its header has 1 A and the boxes agree.

    RELION takes the images' pixel size for its reference, whatever the header says; here a header counts
    unless it is one that nobody set. What is assumed is said in the log.

    Parameters
    ----------
    path : Path or str
        The map, for the log.
    voxel_size : float
        In A, as the header has it.
    side : int
        Of the map, in voxels.
    boxes : collection of int
        Of the images, in px.
    pixel_size : float
        Of the images, in A.

    Returns
    -------
    float
        In A.
    """
    if not never_set(voxel_size) or side not in boxes or abs(pixel_size / voxel_size - 1) <= SAME:
        return voxel_size
    _warn_once(
        f"{path}: its header says 1 A, as many programs leave it, and its box of {side} px is that of the "
        f"images: their pixel size of {pixel_size:g} A is taken for the map"
    )
    return pixel_size


def warn_of_other_field(path: Path | str, side: int, voxel_size: float, box: int, pixel_size: float) -> None:
    """Warn of a map whose field of view differs from that of the images by more than a factor of 1.5.

    Parameters
    ----------
    path : Path or str
        The map, for the log.
    side : int
        Of the map, in voxels.
    voxel_size : float
        Of the map, in A.
    box : int
        Of the images, in px.
    pixel_size : float
        Of the images, in A.
    """
    span, field = side * voxel_size, box * pixel_size
    if max(span / field, field / span) > _OTHER_FIELD:
        _warn_once(
            f"{path}: the map spans {span:.4g} A ({side} px of {voxel_size:g} A), the images {field:.4g} A "
            f"({box} px of {pixel_size:g} A); is its voxel size right?"
        )


@cache
def _warn_once(message: str) -> None:
    """Warn, once of a thing: a run and its baselines are judged with one map."""
    _log.warning("%s", message)


def _axis_order(header: MrcHeader) -> tuple[int, int, int]:
    """Return which axes of the stored block (0 sections, 1 rows, 2 columns) lie along z, y and x."""
    fields = header.fields
    axes = (int(fields.mapc), int(fields.mapr), int(fields.maps))
    if axes in {(1, 2, 3), (0, 0, 0)}:
        return 0, 1, 2
    if sorted(axes) != [1, 2, 3]:
        raise InputError(
            "the axes of the volume are not x, y and z",
            file=header.path,
            expected="mapc, mapr, maps = 1, 2, 3 in any order",
            found=", ".join(map(str, axes)),
            remedy="rewrite the volume with its columns along x, its rows along y and its sections along z",
        )
    stored = axes[::-1]
    return stored.index(3), stored.index(2), stored.index(1)


def _say_order(header: MrcHeader, order: tuple[int, int, int]) -> None:
    """Warn of axes that are not stored as RELION takes them."""
    if order == (0, 1, 2):
        return
    axes = (int(header.fields.mapc), int(header.fields.mapr), int(header.fields.maps))
    _log.warning(
        "%s: its axes are stored in another order (mapc, mapr, maps = %d, %d, %d) and read as x, y, z; "
        "RELION takes them as stored, which %s, so that poses that it found with this file do not fit",
        header.path, *axes, "turns the map" if axes in _TURNS else "gives the other hand",
    )  # fmt: skip


def _check_shape(header: MrcHeader) -> None:
    """Refuse what is no map: a stack of images, or a block that is all too long."""
    columns, rows, sections = header.shape
    is_stack = int(header.fields.ispg) == 0 and int(header.fields.mz) == 1
    is_stack |= header.path.suffix == ".mrcs"
    shortest, longest = min(header.shape), max(header.shape)
    if shortest == longest or (longest <= _LONGEST * shortest and not is_stack):
        return
    raise InputError(
        "this is a stack of images, not a volume" if is_stack else "the volume is far from a cube",
        file=header.path,
        expected=f"sides that differ by a factor of {_LONGEST} at the most",
        found=f"{columns} x {rows} x {sections} px",
        remedy="give a map; crop or pad it to a cube if it is one",
    )


def _say_start(header: MrcHeader, order: tuple[int, int, int]) -> None:
    """Note in the log that the header places the map elsewhere in its cell."""
    stored = [int(header.fields[name]) for name in ("nzstart", "nystart", "nxstart")]
    z, y, x = (stored[axis] for axis in order)
    if x or y or z:
        _log.info(
            "%s: its header lets it begin at voxel %d, %d, %d of a larger cell (nxstart); not applied: "
            "the middle of the map, voxel N // 2, is the middle of the particle",
            header.path, x, y, z,
        )  # fmt: skip


def _cube(volume: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """Pad to the longest side; voxel n // 2 of each axis becomes N // 2."""
    side = max(volume.shape)
    if min(volume.shape) == side:
        return volume
    _log.info(
        "%s: %d x %d x %d voxels are padded with zeros to %d x %d x %d, voxel N // 2 of each axis kept",
        path, *volume.shape[::-1], side, side, side,
    )  # fmt: skip
    before = [side // 2 - size // 2 for size in volume.shape]
    margins = [(first, side - size - first) for first, size in zip(before, volume.shape, strict=True)]
    return np.pad(volume, margins)
