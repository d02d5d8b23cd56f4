"""MRC image stacks and volumes (MRC2014, DOI 10.1016/j.jsb.2015.04.002).

A stack is never read whole: its header is read and checked when the object is made, and the images are
copied one by one out of a memory map that each process opens for itself on its first read. Writing is in
`cryoalign.io.mrc_write`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.mrcfile import MrcFile
from mrcfile.utils import data_dtype_from_header

from cryoalign.errors import InputError, existing
from cryoalign.io.mrc_write import StackWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MODES", "MrcStack", "StackWriter", "read_volume"]

MODES = {0: "int8", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
"""The modes that hold real images, and what their pixels are."""


class MrcStack:
    """A stack of square images, mapped lazily and read one image at a time.

    Parameters
    ----------
    path : Path or str
        A ``.mrc`` or ``.mrcs`` file of mode 0, 1, 2, 6 or 12, of either byte order.

    Attributes
    ----------
    path : Path
        The file.
    count : int
        Number of images.
    box : int
        Side of an image in px.
    pixel_size : float or None
        Pixel size in A, None where the header does not say.

    Raises
    ------
    InputError
        If the file is missing, empty, not an MRC file, of another mode, truncated, or its images are not
        square.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        header, self._offset, self._dtype = _read_header(self.path)
        if int(header.nx) != int(header.ny):
            raise InputError(
                "the images are not square",
                file=self.path,
                expected="nx = ny",
                found=f"{int(header.nx)} x {int(header.ny)} px",
                remedy="crop or pad the stack to a square box",
            )
        self.count, self.box = int(header.nz), int(header.nx)
        self.pixel_size = _pixel_size(header)
        self._map: np.memmap[Any, np.dtype[Any]] | None = None

    def __len__(self) -> int:
        return self.count

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map behind: pickling one copies the whole stack."""
        return {**self.__dict__, "_map": None}

    def read(self, slot: int) -> NDArray[np.float32]:
        """Copy one image.

        Parameters
        ----------
        slot : int
            0-based number of the image.

        Returns
        -------
        (box, box) float32
            ``[y, x]``.

        Raises
        ------
        InputError
            If the stack has no such image.
        """
        if not 0 <= slot < self.count:
            raise InputError(
                "the image number is past the end of the stack",
                file=self.path,
                expected=f"1 to {self.count}",
                found=slot + 1,
                remedy="use the stack that belongs to these metadata",
            )
        if self._map is None:
            shape = (self.count, self.box, self.box)
            self._map = np.memmap(self.path, dtype=self._dtype, mode="r", offset=self._offset, shape=shape)
        return np.array(self._map[slot], dtype=np.float32)

    def close(self) -> None:
        """Drop the map; the next read opens it again."""
        self._map = None


def read_volume(path: Path | str) -> tuple[NDArray[np.float32], float | None]:
    """Read a cubic volume.

    Parameters
    ----------
    path : Path or str
        An MRC file of mode 0, 1, 2, 6 or 12, of either byte order.

    Returns
    -------
    volume : (N, N, N) float32
        ``[z, y, x]``.
    pixel_size : float or None
        Voxel size in A, None where the header does not say.

    Raises
    ------
    InputError
        If the file is missing, empty, not an MRC file, of another mode, truncated, not a cube, its axes are
        permuted, its voxels are not cubic, or its values are NaN, infinite or all the same.
    """
    path = Path(path)
    header, offset, dtype = _read_header(path)
    shape = (int(header.nz), int(header.ny), int(header.nx))
    if len(set(shape)) != 1:
        found = " x ".join(str(n) for n in reversed(shape))
        raise InputError("the volume is not a cube", file=path, expected="nx = ny = nz", found=f"{found} px")
    axes = (int(header.mapc), int(header.mapr), int(header.maps))
    if axes not in {(1, 2, 3), (0, 0, 0)}:
        raise InputError(
            "the axes of the volume are permuted",
            file=path,
            expected="mapc, mapr, maps = 1, 2, 3",
            found=", ".join(map(str, axes)),
            remedy="rewrite the volume with its columns along x, its rows along y and its sections along z",
        )
    cell = [float(header.cella[axis]) / max(int(header[f"m{axis}"]), 1) for axis in "xyz"]
    if max(cell) - min(cell) > 1e-3 * abs(max(cell)):
        raise InputError(
            "the voxels are not cubic", file=path, found=" x ".join(f"{size:.5g}" for size in cell) + " A"
        )
    values = np.fromfile(path, dtype=dtype, count=math.prod(shape), offset=offset)
    volume = values.astype(np.float32).reshape(shape)
    if not np.isfinite(volume).all():
        raise InputError("the volume holds NaN or infinite values", file=path, expected="finite values")
    if volume.min() == volume.max():
        raise InputError("the volume is constant", file=path, found=f"{volume.flat[0]:g} everywhere")
    return volume, _pixel_size(header)


def _read_header(path: Path) -> tuple[Any, int, np.dtype[Any]]:
    """Read and check a header; give it with the offset in bytes and the type of the data block."""
    size = existing(path, "an MRC file").stat().st_size
    if size == 0:
        raise InputError(
            "the file is empty", file=path, expected="an MRC file", remedy="copy or write it again"
        )
    try:
        with MrcFile(path, mode="r", header_only=True) as mrc:  # type: ignore[no-untyped-call]
            header = mrc.header.copy()
    except PermissionError as error:
        raise InputError("the file cannot be read", file=path, found=error.strerror) from error
    except (ValueError, OSError, MemoryError) as error:
        raise InputError(
            "this is not an MRC file", file=path, expected="an MRC2014 header", found=error
        ) from error
    if int(header.mode) not in MODES:
        modes = ", ".join(f"{mode} ({name})" for mode, name in MODES.items())
        raise InputError(
            "the data mode is not supported",
            file=path,
            expected=modes,
            found=f"mode {int(header.mode)}",
            remedy="convert the file to mode 2",
        )
    shape = (int(header.nx), int(header.ny), int(header.nz))
    if min(shape) < 1:
        raise InputError("the header gives an impossible size", file=path, found=" x ".join(map(str, shape)))
    offset, dtype = HEADER_DTYPE.itemsize + int(header.nsymbt), data_dtype_from_header(header)  # type: ignore[no-untyped-call]
    needed = offset + math.prod(shape) * dtype.itemsize
    if size < needed:
        whole = max(size - offset, 0) // (shape[0] * shape[1] * dtype.itemsize)
        raise InputError(
            "the file is truncated",
            file=path,
            expected=f"{needed:,} bytes for {shape[2]} sections of {shape[0]} x {shape[1]} px",
            found=f"{size:,} bytes, {whole} whole sections",
            remedy="copy or write the file again",
        )
    return header, offset, dtype


def _pixel_size(header: Any) -> float | None:
    """Pixel size along x in A, None if the header leaves it open."""
    samples, cell = int(header.mx), float(header.cella.x)
    return cell / samples if samples > 0 and math.isfinite(cell) and cell > 0 else None
