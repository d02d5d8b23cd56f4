"""How far new particles lie from the centre of their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryoalign.errors import within
from cryoalign.population.blocks import Purpose, chosen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.population.blocks import Block


class Shifts(Protocol):
    """Draw shifts."""

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:
        """Return (1000, 2) origins x and y in A, as RELION has them."""


@dataclass(frozen=True)
class Like:
    """Each that of a measured particle, x and y together."""

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:
        """Return (1000, 2) origins in A."""
        return like.shift[chosen(block.uniform(Purpose.SHIFT)[:, 0], len(like))]


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal, alike along x and y.

    Parameters
    ----------
    spread : float
        Standard deviation along each in A.

    Raises
    ------
    InputError
        If it is below 0.
    """

    spread: float = 3.0

    def __post_init__(self) -> None:
        within("shifts.spread", self.spread, 0, unit="A")

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:  # noqa: ARG002  of no measured one
        """Return (1000, 2) origins in A."""
        return self.spread * block.normal(Purpose.SHIFT)[:, :2]
