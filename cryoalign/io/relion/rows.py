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

from cryoalign.io.relion.read import IMAGE, ORIGINAL
from cryoalign.io.relion.row_bytes import Columns, look
from cryoalign.io.relion.star_text import parse
from cryoalign.io.simulated import CLASS, PARTICLE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.io.relion.row_bytes import Block

_TABLE = re.compile(rb"^data_particles[ \t]*\n", re.MULTILINE)
_MOST = 1 << 20  # bytes of what stands before and behind the rows
_BLOCK = 1 << 22
_NO_ROW = re.compile(rb"^[ \t]*(?:$|(?:data_\S*|loop_)[ \t]*(?:#.*)?$)", re.MULTILINE)


class FoundRows(NamedTuple):
    """Some rows as a STAR file of their own.

    Attributes
    ----------
    text : str
        Of that file.
    rows : (n,) int64
        0-based rows of the whole file.
    empty : (N,) bool
        Of each row of the whole file, whether it is known to show no particle.
    stacks : dict of str to int
        Of sims: the name of each stack of the whole file, and the first row that names it, 0-based.
    """

    text: str
    rows: NDArray[np.int64]
    empty: NDArray[np.bool_]
    stacks: dict[str, int]


def find_rows(
    path: Path, wanted: Callable[[NDArray[np.bool_]], slice | NDArray[np.int64]], *, of_sims: bool = False
) -> FoundRows | None:
    """Find some rows of a STAR file, and those that name the same images: which row repeats which is known.

    Parameters
    ----------
    path : Path
    wanted : callable
        Returns which rows are wanted, of as many as it is given: for each whether it shows no particle.
    of_sims : bool
        They are images of a simulation, known by their uids or by the raw images that were simulated: found
        are also all rows of the same ones, whatever images they name, and all stacks.

    Returns
    -------
    FoundRows or None
        None where the whole file has to be read.
    """
    with path.open("rb") as file:
        start = file.read(_MOST)
        head = _head(path, start, of_sims=of_sims)
        seen = None if head is None else _blocks(file, *head)
        if head is None or seen is None:
            return None
        blocks, tail = seen
        starts = np.concatenate([*(block.starts for block in blocks), [blocks[-1].end]])
        keys = np.concatenate([block.keys for block in blocks])
        empty = np.concatenate([block.empty for block in blocks])
        rows = np.flatnonzero(np.isin(keys, keys[wanted(empty)]))
        lines = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            if len(run):
                file.seek(int(starts[run[0]]))
                lines.append(file.read(int(starts[run[-1] + 1] - starts[run[0]])))
    text = start[: head[0]] + b"".join(lines) + tail
    if not text.isascii():
        return None
    return FoundRows(text.decode("ascii"), rows, empty, _stacks(blocks))


def _blocks(file: BinaryIO, place: int, columns: Columns) -> tuple[list[Block], bytes] | None:
    """Return what is known of all rows from a place on, and what stands behind them; None if unsure."""
    file.seek(place)
    blocks: list[Block] = []
    tail = b""
    for block in _whole_lines(file):
        found = look(block, place, columns)
        if found is None:  # what stands behind the rows, or a row that is not plain
            stop = _NO_ROW.search(block)
            found = None if stop is None else look(block[: stop.start()], place, columns)
            if found is None:
                return None
            file.seek(found.end)
            tail = file.read(_MOST + 1)
        blocks.append(found)
        place = found.end
        if tail:
            break
    if not any(len(block.keys) for block in blocks) or len(tail) > _MOST or not _ends_well(tail):
        return None
    return blocks, tail


def _stacks(blocks: Sequence[Block]) -> dict[str, int]:
    """Return the stacks of all blocks, each with the first row of the file that names it."""
    found: dict[str, int] = {}
    first = 0
    for block in blocks:
        for name, row in block.stacks.items():
            found.setdefault(name.decode("ascii"), first + row)
        first += len(block.keys)
    return found


def _head(path: Path, start: bytes, *, of_sims: bool) -> tuple[int, Columns] | None:
    """Return where the first row begins, and which columns are to be looked at."""
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
    if not plain or IMAGE not in labels or (PARTICLE_NAME in labels and not of_sims):
        return None
    image = labels.index(IMAGE)
    if not of_sims:
        return place, Columns(len(labels), image, image)
    key = next(name for name in (PARTICLE_NAME, ORIGINAL, IMAGE) if name in labels)
    by_uid = key == PARTICLE_NAME
    label = labels.index(CLASS) if by_uid and CLASS in labels else None
    return place, Columns(len(labels), image, labels.index(key), of_sims=True, by_uid=by_uid, label=label)


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
