"""Random numbers of new particles, in blocks of 1,000 rows that know nothing of each other.

A row's numbers depend on (seed, what they are for, row) and on nothing else: not on how many rows there are,
nor on what was drawn before. They are the raw output of a counter-based generator, which NumPy promises to
keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

SIZE = 1000
"""Rows of a block."""
_NUMBERS = 4  # of a row, for each purpose
_BITS = 53  # of a float


class Purpose(IntEnum):
    """What numbers are for; those of one purpose do not disturb those of another."""

    POSE = 0
    CONDITIONS = 1
    RANGES = 2
    SHIFT = 3
    ORDER = 4


@dataclass(frozen=True)
class Block:
    """Rows ``SIZE * number`` to ``SIZE * (number + 1)``, counted from 0.

    Attributes
    ----------
    seed : int
    number : int
        From 0.
    neighbour : int
        Which one around the rows' particles, from 1; 0 for these themselves.
    """

    seed: int
    number: int
    neighbour: int = 0

    @property
    def rows(self) -> NDArray[np.int64]:
        """(1000,) 0-based rows."""
        return SIZE * self.number + np.arange(SIZE)

    def uniform(self, purpose: Purpose) -> NDArray[np.float64]:
        """Return (1000, 4) numbers between 0 and 1, which they never are."""
        bits = self._bits(purpose) >> np.uint64(64 - _BITS)
        numbers: NDArray[np.float64] = (bits.astype(np.float64) + 0.5) / 2**_BITS
        return numbers

    def normal(self, purpose: Purpose) -> NDArray[np.float64]:
        """Return (1000, 4) numbers of mean 0 and variance 1: `uniform` through the inverse distribution."""
        numbers: NDArray[np.float64] = ndtri(self.uniform(purpose))
        return numbers

    def ranks(self) -> NDArray[np.int64]:
        """Return (1000,) the numbers 0 to 999 in an order of this block's own.

        What has to have exact shares in a block is dealt out by it: the rows of the ranks below 700 get the
        first of two classes, and in each class every second rank the second half-set.
        """
        order = np.argsort(self._bits(Purpose.ORDER)[:, 0], kind="stable")
        ranks = np.empty(SIZE, dtype=np.int64)
        ranks[order] = np.arange(SIZE)
        return ranks

    def halves(self) -> NDArray[np.int64]:
        """Return (1000,) half-sets 1 and 2, 500 of each, balanced within every run of ranks."""
        return 1 + self.ranks() % 2

    def _bits(self, purpose: Purpose) -> NDArray[np.uint64]:
        """Return (1000, 4) random words."""
        words = [self.seed, purpose, self.number, *([self.neighbour] if self.neighbour else [])]
        generator = np.random.Philox(np.random.SeedSequence(words))
        return np.asarray(generator.random_raw(SIZE * _NUMBERS), dtype=np.uint64).reshape(SIZE, _NUMBERS)


def of_rows(
    seed: int,
    rows: NDArray[np.int64],
    draw: Callable[[Block], Mapping[str, NDArray[Any]]],
    neighbours: ArrayLike = 0,
) -> dict[str, NDArray[Any]]:
    """Return what blocks have for some rows, each block drawn once.

    Parameters
    ----------
    seed : int
    rows : (n,) int64
        0-based.
    draw : callable
        From a block to columns of 1,000 rows.
    neighbours : (n,) array_like of int
        As of `Block`.

    Returns
    -------
    dict of str to (n, ...) array
    """
    keys = np.column_stack([rows // SIZE, np.broadcast_to(neighbours, len(rows))])
    keys, place = np.unique(keys, axis=0, return_inverse=True)
    blocks = [draw(Block(seed, number, neighbour)) for number, neighbour in keys.tolist() or [(0, 0)]]
    index = SIZE * place.reshape(-1) + rows % SIZE
    return {name: np.concatenate([block[name] for block in blocks])[index] for name in blocks[0]}


def chosen(numbers: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return one of `count` things, counted from 0, for each number between 0 and 1."""
    return np.minimum((numbers * count).astype(np.int64), count - 1)
