"""Which of several maps a new particle is an image of, and which images show no particle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError, within
from cryoalign.population.blocks import SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.population.blocks import Block

EMPTY = 0
"""The class of images without a particle; maps are numbered from 1."""

_GOLDEN = (5**0.5 - 1) / 2  # its multiples leave no gap between 0 and 1, however many there are
_SUM_TOLERANCE = 1e-5  # of shares that were typed with six digits


@dataclass(frozen=True)
class Classes:
    """Classes with exact shares in each whole block of 1,000 rows, in an order of the block's own.

    A class has as many rows of a block as its share says, rounded down or up; which of the two differs from
    block to block, so that a map whose share is below 1/1,000 has its turn.

    Parameters
    ----------
    shares : tuple of float
        Of each map among the images with a particle.
    empty : float
        Share of images without a particle.

    Raises
    ------
    InputError
        If there is no share, one is out of its range, or they do not sum to 1.

    Examples
    --------
    >>> from cryoalign.population.blocks import Block
    >>> numbers = Classes((0.7, 0.3), empty=0.1).draw(Block(seed=0, number=5))
    >>> np.bincount(numbers).tolist()
    [100, 630, 270]
    """

    shares: tuple[float, ...] = (1.0,)
    empty: float = 0.0

    def __post_init__(self) -> None:
        if not self.shares:
            raise InputError("there are no shares", expected="one of each map", remedy="leave shares out")
        for number, share in enumerate(self.shares, start=1):
            within(f"the share of map {number}", share, 0, 1)
        total = sum(self.shares)
        if abs(total - 1) > _SUM_TOLERANCE:
            remedy = "leave shares out for equal ones"
            if total > 0:
                remedy = f"give shares=[{','.join(f'{share / total:.6g}' for share in self.shares)}]"
            raise InputError("the shares do not sum to 1", expected=1, found=f"{total:.6g}", remedy=remedy)
        within("empty", self.empty, 0, below=1, remedy="it is the share of images without a particle")

    @classmethod
    def equal(cls, count: int, empty: float = 0.0) -> Classes:
        """Return classes of the same share."""
        return cls((1 / count,) * count, empty)

    @property
    def several(self) -> bool:
        """Whether there is anything to tell apart."""
        return len(self.shares) > 1 or self.empty > 0

    def draw(self, block: Block) -> NDArray[np.int64]:
        """Return (1000,) the number of each row's map, from 1, or `EMPTY`."""
        shares = np.array(self.shares) / sum(self.shares)
        limits = np.round(SIZE * np.cumsum((1 - self.empty) * shares), 9)
        # Between 0 and 1, so that shares of whole rows are met whatever it is.
        offset = np.clip((block.number + 0.5) * _GOLDEN % 1, 1e-6, 1 - 1e-6)
        numbers = 1 + np.searchsorted(limits, block.ranks() + offset, side="right")
        return np.where(numbers > len(shares), EMPTY, numbers)

    def halves(self, block: Block) -> NDArray[np.int64]:
        """Return (1000,) half-sets 1 and 2, balanced within each class, over many blocks also a tiny one."""
        return 1 + (block.ranks() + (block.number if self.several else 0)) % 2
