"""The header of an MRC file, also where programs wrote it in ways of their own.

MRC2014 (DOI 10.1016/j.jsb.2015.04.002) wants the letters ``MAP`` and a machine stamp that states the byte
order. SerialEM, IMOD and older programs write other stamps or none. RELION looks at neither: it takes the
byte order in which mode and sizes are small numbers, and so does this.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import byte_order_from_machine_stamp, data_dtype_from_header

from cryoalign.errors import InputError, existing
from cryoalign.io.packed import is_packed, unpacked_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

MODES = {0: "int8", 1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
"""The modes that hold real images, and what their pixels are."""

_KNOWN_MODES = {*MODES, 3, 4, 16, 101}
_LARGEST = 1 << 24  # px; no image, map or stack has a longer side
_IMOD_OFFSET, _IMOD_STAMP = 152, 1146047817  # imodStamp; behind it imodFlags, whose bit 0 means signed bytes
_warned: set[tuple[str, Path]] = set()


@dataclass(frozen=True)
class MrcHeader:
    """What a header says, checked against the file.

    Attributes
    ----------
    path : Path
        The file.
    fields : numpy record
        The header in the file's byte order, as mrcfile names its fields.
    offset : int
        Of the data block, in bytes.
    dtype : numpy.dtype
        Of the data block.
    packed : bool
        The file is packed by gzip or bzip2, so that its data block cannot be mapped.
    """

    path: Path
    fields: Any
    offset: int
    dtype: np.dtype[Any]
    packed: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of columns, rows and sections."""
        return int(self.fields.nx), int(self.fields.ny), int(self.fields.nz)

    @property
    def pixel_size(self) -> float | None:
        """Pixel size along x in A, None if the header leaves it open."""
        samples, cell = int(self.fields.mx), float(self.fields.cella.x)
        return cell / samples if samples > 0 and math.isfinite(cell) and cell > 0 else None

    def values(self) -> NDArray[Any]:
        """Read the whole data block, ``[section, row, column]``.

        Raises
        ------
        InputError
            If a packed file is cut off or damaged.
        """
        count = math.prod(self.shape)
        if not self.packed:
            values = np.fromfile(self.path, dtype=self.dtype, count=count, offset=self.offset)
        else:
            content = unpacked_bytes(self.path, self.offset + count * self.dtype.itemsize)
            _check_length(self.path, self.shape, self.offset, self.dtype, len(content))
            values = np.frombuffer(content, dtype=self.dtype, count=count, offset=self.offset)
        return values.reshape(self.shape[::-1])


def read_header(path: Path) -> MrcHeader:
    """Read and check a header.

    Parameters
    ----------
    path : Path
        An MRC file, plain or packed by gzip or bzip2.

    Returns
    -------
    MrcHeader

    Raises
    ------
    InputError
        If the file is missing, empty, not an MRC file, of a mode that holds no real images, or cut off.
    """
    size = existing(path, "an MRC file").stat().st_size
    if size == 0:
        raise InputError(
            "the file is empty", file=path, expected="an MRC file", remedy="copy or write it again"
        )
    try:
        packed = is_packed(path)
        start = unpacked_bytes(path, HEADER_DTYPE.itemsize)
    except OSError as error:
        raise InputError(
            "the file cannot be read",
            file=path,
            expected="an MRC file",
            found=error.strerror,
            remedy="look at its permissions and its disk, or copy it",
        ) from error
    fields = _fields(path, start)
    if int(fields.mode) not in MODES:
        modes = ", ".join(f"{mode} ({name})" for mode, name in MODES.items())
        raise InputError(
            "the data mode is not supported",
            file=path,
            expected=modes,
            found=f"mode {int(fields.mode)}",
            remedy="convert the file to mode 2",
        )
    dtype: np.dtype[Any] = data_dtype_from_header(fields)  # type: ignore[no-untyped-call]
    if int(fields.mode) == 0 and _has_unsigned_bytes(start, fields):
        dtype = np.dtype(np.uint8)
    header = MrcHeader(path, fields, HEADER_DTYPE.itemsize + int(fields.nsymbt), dtype, packed)
    if min(header.shape) < 1 or int(fields.nsymbt) < 0:
        found = " x ".join(map(str, header.shape))
        raise InputError(
            "the header gives an impossible size",
            file=path,
            expected="1 or more each way",
            found=found,
            remedy="copy or write the file again",
        )
    if not packed:
        _check_length(path, header.shape, header.offset, dtype, size)
    return header


def _fields(path: Path, start: bytes) -> Any:
    """Interpret the first bytes, in the byte order of the stamp or in the one that makes sense."""
    if len(start) < HEADER_DTYPE.itemsize:
        raise _no_mrc(path, f"{len(start)} bytes, and a header has {HEADER_DTYPE.itemsize}")
    types = {"<": HEADER_DTYPE.newbyteorder("<"), ">": HEADER_DTYPE.newbyteorder(">")}
    both = {order: np.frombuffer(start, kind).reshape(()).view(np.recarray) for order, kind in types.items()}
    any_order = both["<"]
    stamp = bytes(any_order.machst.tolist())
    try:
        stamped: str | None = byte_order_from_machine_stamp(any_order.machst)  # type: ignore[no-untyped-call]
    except ValueError:
        stamped = None
    named = bytes(any_order["map"]).startswith(b"MAP")
    sensible = [order for order, fields in both.items() if _makes_sense(fields)]
    if stamped in sensible or (stamped and named and not sensible):
        order = stamped
    elif sensible:
        order = min(sensible, key=lambda order: _size(both[order]))
        name = {"<": "little-endian", ">": "big-endian"}[order]
        _warn(path, f"its machine stamp {stamp.hex(' ')} is not that of its byte order", name)
    else:
        mode, sizes = int(any_order.mode), (int(any_order.nx), int(any_order.ny), int(any_order.nz))
        raise _no_mrc(path, f"mode {mode} and sizes {', '.join(map(str, sizes))}")
    if not named:
        _warn(path, "its header lacks the letters MAP", "an MRC file")
    return both[order]


def _has_unsigned_bytes(start: bytes, fields: Any) -> bool:
    """Return whether IMOD wrote the bytes of mode 0 without a sign: its stamp is there, its flag is not."""
    stamp, flags = np.frombuffer(start, fields.dtype["mode"], count=2, offset=_IMOD_OFFSET).tolist()
    return stamp == _IMOD_STAMP and not flags & 1


def _makes_sense(fields: Any) -> bool:
    """Return whether mode, sizes and length of the extended header are what a file can have."""
    sizes = (int(fields.nx), int(fields.ny), int(fields.nz))
    return (
        int(fields.mode) in _KNOWN_MODES
        and all(0 < size <= _LARGEST for size in sizes)
        and 0 <= int(fields.nsymbt) < 1 << 30
    )


def _size(fields: Any) -> int:
    return int(fields.nx) * int(fields.ny) * int(fields.nz)


def _no_mrc(path: Path, found: str) -> InputError:
    return InputError(
        "this is not an MRC file",
        file=path,
        expected="an MRC2014 header",
        found=found,
        remedy="give an .mrc or .mrcs file; if it should be one, copy it again",
    )


def _warn(path: Path, problem: str, reading: str) -> None:
    """Warn of a header, once for the files of a folder: there may be thousands of stacks."""
    if (problem, path.parent) not in _warned:
        _warned.add((problem, path.parent))
        _log.warning("%s: %s; read as %s, in which mode and sizes make sense", path, problem, reading)


def _check_length(
    path: Path, shape: tuple[int, int, int], offset: int, dtype: np.dtype[Any], size: int
) -> None:
    """Refuse a file that is shorter than its header says, warn of a longer one."""
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
    problem = "it is longer than its header says"
    if size > needed and (problem, path.parent) not in _warned:
        _warned.add((problem, path.parent))
        _log.warning(
            "%s: %s: %s bytes, where %s make %d sections of %d x %d px behind %d bytes of headers; "
            "if images look shifted, the length of its extended header (nsymbt) is wrong",
            path, problem, f"{size:,}", f"{needed:,}", shape[2], shape[0], shape[1], offset,
        )  # fmt: skip
