"""Files that may be packed by gzip or bzip2, read as if they were not."""

from __future__ import annotations

import bz2
import gzip
import zlib
from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 18
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_OTHERS = {b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"\x1f\x9d": "compress"}


def is_packed(path: Path) -> bool:
    """Return whether a file is packed by gzip or bzip2, by its first bytes.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If it is packed in another way.
    """
    with path.open("rb") as file:
        start = file.read(8)
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise InputError(
                f"the file is packed by {name}",
                file=path,
                expected="a plain file, or one packed by gzip or bzip2",
                remedy="unpack it first",
            )
    return start.startswith((_GZIP, _BZIP2))


def unpacked_bytes(path: Path, size: int | None = None, *, most: int | None = None) -> bytes:
    """Read the beginning of a file, unpacked if it is packed.

    Bytes behind the end of what is packed are passed over, as RELION and gemmi do.

    Parameters
    ----------
    path : Path
    size : int, optional
        Bytes wanted; all if not given.
    most : int, optional
        Bytes that such a file can have: a few packed ones can fill any memory.

    Returns
    -------
    bytes
        Fewer if the file ends before.

    Raises
    ------
    InputError
        If it is packed in another way than gzip's or bzip2's, or what is packed is cut off or damaged,
        or there is too much of it.
    """
    if not is_packed(path):
        with path.open("rb") as plain:
            return plain.read(-1 if size is None else size)
    found = bytearray()
    with _open(path) as file:
        while size is None or len(found) <= size:  # one byte more: the checksum comes behind the last one
            block = _block(path, file)
            if not block:
                break
            found += block
            if most is not None and len(found) > most:
                raise InputError(
                    "what is packed is too large",
                    file=path,
                    expected=f"at most {most:,} bytes once it is unpacked",
                    found=f"{len(found):,} bytes, and more to come",
                    remedy="unpack it yourself, and look whether it is what it should be",
                )
    return bytes(found if size is None else found[:size])


def _open(path: Path) -> gzip.GzipFile | bz2.BZ2File:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    return gzip.GzipFile(path, "rb") if zipped else bz2.BZ2File(path)


def _block(path: Path, file: gzip.GzipFile | bz2.BZ2File) -> bytes:
    """Return the next bytes, none at the end."""
    try:
        return file.read1(_BLOCK)
    except gzip.BadGzipFile as error:
        if str(error).startswith("Not a gzipped file"):  # bytes behind the end: the magic was looked at
            return b""
        problem: Exception = error
    except (EOFError, OSError, ValueError, zlib.error) as error:
        problem = error
    raise InputError(
        "what is packed is cut off or damaged",
        file=path,
        found=problem,
        remedy="copy or write the file again",
    ) from problem
