"""What the bytes of plain rows of a STAR file tell, without parsing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryoalign.io.simulated import NAME_PREFIX

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ODD = bytes([*range(9), *range(11, 32), *b"'\"#"])  # quotes, comments, carriage returns, control characters
_BLANK, _LINE_END, _AT, _ZERO, _NINE = b" \n@09"  # smaller ones are tab and line end
_LONGEST = 512  # bytes of an image's name
_WEIGHTS = np.random.default_rng(0).integers(1, 2**63, size=_LONGEST, dtype=np.uint64) | np.uint64(1)
_PREFIX = np.frombuffer(NAME_PREFIX.encode(), dtype=np.uint8)
_UID_DIGITS = 16
_IS_HEX = np.isin(np.arange(256), list(b"0123456789abcdef"))
_CLASS_DIGITS = 9


class Columns(NamedTuple):
    """Which columns of a table are looked at, counted from 0.

    Attributes
    ----------
    total : int
        How many there are.
    image : int
        That of the images.
    key : int
        That by which rows are known which repeat others.
    of_sims : bool
        Whether the names of the stacks are wanted.
    by_uid : bool
        The key is the name of a simulated particle, and all rows have to have one.
    label : int, optional
        That of the classes, of which 0 is known to mean no particle.
    """

    total: int
    image: int
    key: int
    of_sims: bool = False
    by_uid: bool = False
    label: int | None = None


class Block(NamedTuple):
    """A few rows.

    Attributes
    ----------
    starts : (n,) int64
        Where each begins in the file.
    keys : (n,) uint64
        A number for what each is known by.
    empty : (n,) bool
        Whether each is known to show no particle.
    stacks : dict of bytes to int
        Names of stacks, and the first of these rows that names each.
    end : int
        Where they end in the file.
    """

    starts: NDArray[np.int64]
    keys: NDArray[np.uint64]
    empty: NDArray[np.bool_]
    stacks: dict[bytes, int]
    end: int


def look(block: bytes, place: int, columns: Columns) -> Block | None:
    """Return what is known of the rows of a block, which begins at a place; None where they are not plain."""
    cut_off = bool(block) and not block.endswith(b"\n")
    if cut_off or not block.isascii() or len(block.translate(None, _ODD)) != len(block):
        return None
    letters = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(letters == _LINE_END)
    filled = np.zeros(len(letters) + 2, dtype=np.bool_)
    filled[1:-1] = letters > _BLANK
    edges = np.flatnonzero(filled[1:] != filled[:-1]).reshape(-1, 2)  # where each cell begins and stops
    if (np.diff(np.searchsorted(edges[:, 0], ends), prepend=0) != columns.total).any():
        return None
    if not len(ends):
        return Block(ends, ends.astype(np.uint64), ends.astype(np.bool_), {}, place)

    def cells(column: int) -> NDArray[np.int64]:
        return edges[column :: columns.total]

    keys = _keys(letters, cells(columns.key), columns)
    nowhere = np.zeros(len(ends), dtype=np.bool_)
    empty = nowhere if columns.label is None else _are_zero(letters, cells(columns.label))
    stacks = _stacks(block, cells(columns.image)) if columns.of_sims else {}
    if keys is None or empty is None or stacks is None:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    return Block(starts + place, keys, empty, stacks, place + len(block))


def _letters_of(letters: NDArray[np.uint8], cells: NDArray[np.int64], most: int) -> NDArray[np.uint8] | None:
    """Return (n, length) the letters of cells without leading zeros, then zeros; None if one is too long."""
    begins, stops = cells[:, 0].copy(), cells[:, 1]
    longest = int((stops - begins).max())
    if longest > most:
        return None
    while (zeros := letters[begins] == _ZERO).any():
        begins += zeros
    places = begins[:, None] + np.arange(longest)
    return np.where(places < stops[:, None], letters[np.minimum(places, len(letters) - 1)], 0)


def _keys(
    letters: NDArray[np.uint8], cells: NDArray[np.int64], columns: Columns
) -> NDArray[np.uint64] | None:
    """Return a number for each name, the same for ``1@a`` and ``000001@a``; None where one is another's."""
    names = _letters_of(letters, cells, _LONGEST)
    if names is None:
        return None
    if columns.by_uid and not _are_uids(names):
        return None
    if columns.key == columns.image and not (names == _AT).any(axis=1).all():
        return None
    with np.errstate(over="ignore"):
        found: NDArray[np.uint64] = (names.astype(np.uint64) * _WEIGHTS[: names.shape[1]]).sum(
            axis=1, dtype=np.uint64
        )
    return found


def _are_uids(names: NDArray[np.uint8]) -> bool:
    """Return whether all are names of simulated particles."""
    if names.shape[1] != len(_PREFIX) + _UID_DIGITS:
        return False
    return bool((names[:, : len(_PREFIX)] == _PREFIX).all() and _IS_HEX[names[:, len(_PREFIX) :]].all())


def _are_zero(letters: NDArray[np.uint8], cells: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return (n,) whether each of some whole numbers is 0; None where one is written otherwise."""
    digits = _letters_of(letters, cells, _CLASS_DIGITS)
    if digits is None or not (((digits >= _ZERO) & (digits <= _NINE)) | (digits == 0)).all():
        return None
    zero: NDArray[np.bool_] = digits[:, 0] == 0
    return zero


def _stacks(block: bytes, cells: NDArray[np.int64]) -> dict[bytes, int] | None:
    """Return the stacks that images name, each with its first row; None where one has no number."""
    found: dict[bytes, int] = {}
    for row, (begin, stop) in enumerate(cells.tolist()):
        _, at, name = block[begin:stop].partition(b"@")
        if not at:
            return None
        found.setdefault(name, row)
    return found
