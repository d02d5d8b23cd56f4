"""Some rows of a large STAR file, without reading the others.

A job of a cluster makes two thousand images of a million. The bytes of the file are looked through for where
its rows begin and which images they name; only the wanted rows are parsed, by the parser of whole files.
That is done where it is certain to be the same: in a file as RELION writes them, with plain rows. Of any
other file (quotes, comments, blank lines among the rows, rows of other lengths) nothing is returned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from cryoalign.io.relion.read import IMAGE
from cryoalign.io.relion.star_text import parse
from cryoalign.io.simulated import PARTICLE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_TABLE = re.compile(rb"^data_particles[ \t]*\n", re.MULTILINE)
_MOST = 1 << 20  # bytes of what stands before and behind the rows
_BLOCK = 1 << 22
_ODD = bytes([*range(9), *range(11, 32), *b"'\"#"])  # quotes, comments, carriage returns, control characters
_NO_ROW = re.compile(rb"^[ \t]*(?:$|(?:data_\S*|loop_)[ \t]*(?:#.*)?$)", re.MULTILINE)
_BLANK, _LINE_END, _AT, _ZERO = ord(" "), ord("\n"), ord("@"), ord("0")  # smaller ones are tab and line end
_LONGEST = 512  # bytes of an image's name
_WEIGHTS = np.random.default_rng(0).integers(1, 2**63, size=_LONGEST, dtype=np.uint64) | np.uint64(1)


class FoundRows(NamedTuple):
    """Some rows as a STAR file of their own.

    Attributes
    ----------
    text : str
        Of that file.
    rows : (n,) int64
        0-based rows of the whole file.
    total : int
        Rows of the whole file.
    """

    text: str
    rows: NDArray[np.int64]
    total: int


class _Block(NamedTuple):
    """A few rows: where each begins in the file, a number for each one's image, and where they end."""

    starts: NDArray[np.int64]
    images: NDArray[np.uint64]
    end: int


def find_rows(path: Path, wanted: Callable[[int], slice]) -> FoundRows | None:
    """Find some rows of a STAR file, and those that name the same images: which row repeats which is known.

    Parameters
    ----------
    path : Path
    wanted : callable
        Returns which rows are wanted of so many, a run of them.

    Returns
    -------
    FoundRows or None
        None where the whole file has to be read.
    """
    with path.open("rb") as file:
        start = file.read(_MOST)
        head = _head(path, start)
        if head is None:
            return None
        first, column, columns = head
        file.seek(first)
        blocks, tail = [], b""
        place = first
        for block in _whole_lines(file):
            found = _look(block, place, column, columns)
            if found is None:  # what stands behind the rows, or a row that is not plain
                stop = _NO_ROW.search(block)
                if stop is None:
                    return None
                found = _look(block[: stop.start()], place, column, columns)
                if found is None:
                    return None
                file.seek(found.end)
                tail = file.read(_MOST + 1)
            blocks.append(found)
            place = found.end
            if tail:
                break
        if not sum(len(block.images) for block in blocks) or len(tail) > _MOST or not _ends_well(tail):
            return None
        starts = np.concatenate([*(block.starts for block in blocks), [place]])
        images = np.concatenate([block.images for block in blocks])
        own = wanted(len(images))
        rows = np.flatnonzero(np.isin(images, images[own]))
        lines = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            if len(run):
                file.seek(int(starts[run[0]]))
                lines.append(file.read(int(starts[run[-1] + 1] - starts[run[0]])))
    text = start[:first] + b"".join(lines) + tail
    return FoundRows(text.decode("ascii"), rows, len(images)) if text.isascii() else None


def _head(path: Path, start: bytes) -> tuple[int, int, int] | None:
    """Return where the first row begins, the column of the images, and the number of columns."""
    found = _TABLE.search(start)
    if found is None or not start.isascii() or b"\r" in start[: found.end()]:
        return None
    place = found.end()
    while True:
        end = start.find(b"\n", place)
        line = start[place:end].strip(b" \t")
        if end < 0:
            return None
        if line and line != b"loop_" and not line.startswith((b"_", b"#")):
            break
        place = end + 1
    tables = parse(path, start[:place].decode("ascii"))
    labels = list(tables["particles"].columns) if "particles" in tables else []
    plain = (
        "optics" in tables
        and len(tables["particles"]) == 0
        and start[found.end() : place].count(b"loop_") == 1
    )
    if not plain or IMAGE not in labels or PARTICLE_NAME in labels:
        return None
    return place, labels.index(IMAGE), len(labels)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield a few megabytes at a time, each up to the end of a line but for the last."""
    rest = b""
    while part := file.read(_BLOCK):
        block = rest + part
        end = block.rfind(b"\n") + 1
        if end:
            rest = block[end:]
            yield block[:end]
        else:
            rest = block
    if rest:
        yield rest


def _ends_well(tail: bytes) -> bool:
    """Return whether what stands behind the rows is nothing, or begins with another table."""
    lines = (line.strip() for line in tail.split(b"\n"))
    after = next((line for line in lines if line and not line.startswith(b"#")), b"data_")
    return after.startswith(b"data_") and len(after.split()) == 1 and tail.isascii()


def _look(block: bytes, place: int, column: int, columns: int) -> _Block | None:
    """Return where the rows of a block begin, and which images they name; None where they are not plain."""
    cut_off = bool(block) and not block.endswith(b"\n")
    if cut_off or not block.isascii() or len(block.translate(None, _ODD)) != len(block):
        return None
    letters = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(letters == _LINE_END)
    filled = np.zeros(len(letters) + 2, dtype=np.bool_)
    filled[1:-1] = letters > _BLANK
    edges = np.flatnonzero(filled[1:] != filled[:-1])
    begins, stops = edges[::2], edges[1::2]
    if (np.diff(np.searchsorted(begins, ends), prepend=0) != columns).any():
        return None
    if not len(ends):
        return _Block(ends, ends.astype(np.uint64), place)
    starts = np.concatenate([[0], ends[:-1] + 1])
    images = _hashes(letters, begins[column::columns], stops[column::columns])
    return None if images is None else _Block(starts + place, images, place + len(block))


def _hashes(
    letters: NDArray[np.uint8], begins: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.uint64] | None:
    """Return a number for each image's name, the same for ``1@a`` and ``000001@a``; None for another name."""
    longest = int((stops - begins).max())
    if longest > _LONGEST:
        return None
    begins = begins.copy()
    while (zeros := letters[begins] == _ZERO).any():
        begins += zeros
    places = begins[:, None] + np.arange(longest)
    inside = places < stops[:, None]
    names = np.where(inside, letters[np.minimum(places, len(letters) - 1)], 0)
    if not (names == _AT).any(axis=1).all():
        return None
    with np.errstate(over="ignore"):
        found: NDArray[np.uint64] = (names.astype(np.uint64) * _WEIGHTS[:longest]).sum(
            axis=1, dtype=np.uint64
        )
    return found
