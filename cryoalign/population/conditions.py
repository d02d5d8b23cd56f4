"""What new particles were imaged under: all that a measured one was, or a defocus from a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from cryoalign.errors import InputError, within
from cryoalign.population.blocks import Purpose, chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.population.blocks import Block


class Drawn(NamedTuple):
    """What new particles may have of their own; optics group, dose, tilt and micrograph are a measured one's.

    Attributes
    ----------
    defocus : (1000, 3) float64
        Defocus U and V in A, and its azimuth in degrees.
    phase_shift : (1000,) float64
        In degrees.
    """

    defocus: NDArray[np.float64]
    phase_shift: NDArray[np.float64]


class Conditions(Protocol):
    """Draw conditions."""

    def check(self, like: Particles) -> None:
        """Raise an InputError if these particles cannot lend theirs."""

    def draw(self, block: Block, like: Particles) -> Drawn:
        """Draw those of a block's rows."""

    def nearby(self, drawn: Drawn, like: Particles, rows: NDArray[np.int64]) -> Drawn:
        """Return those of neighbours of n particles that have `drawn`; theirs are the places of `rows`."""


def measured_rows(block: Block, like: Particles) -> NDArray[np.int64]:
    """Return (1000,) the 0-based measured row that each new particle has its conditions from."""
    return chosen(block.uniform(Purpose.CONDITIONS)[:, 0], len(like))


@dataclass(frozen=True)
class Like:
    """All conditions of one measured particle, together, so that what belongs together stays together."""

    def check(self, like: Particles) -> None:
        """Take any."""

    def draw(self, block: Block, like: Particles) -> Drawn:
        """Draw those of a block's rows."""
        rows = measured_rows(block, like)
        return Drawn(like.defocus[rows], like.phase_shift[rows])

    def nearby(self, drawn: Drawn, like: Particles, rows: NDArray[np.int64]) -> Drawn:  # noqa: ARG002  its own
        """Return those of the measured neighbours."""
        return Drawn(like.defocus[rows], like.phase_shift[rows])


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Defocus, astigmatism and phase shift uniform between given values; all else of a measured particle.

    Parameters
    ----------
    defocus : sequence of float
        Least and largest mean of defocus U and V in A, underfocus positive.
    astigmatism : sequence of float
        Least and largest U - V in A; its azimuth is any.
    phase_shift : sequence of float
        Least and largest, in degrees.

    Raises
    ------
    InputError
        If one is no range.
    """

    defocus: Sequence[float] = (5000.0, 25000.0)
    astigmatism: Sequence[float] = (0.0, 500.0)
    phase_shift: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        _check_range("conditions.defocus", self.defocus, "A")
        _check_range("conditions.astigmatism", self.astigmatism, "A")
        _check_range("conditions.phase_shift", self.phase_shift, "degrees")
        within("conditions.astigmatism", self.astigmatism[0], 0, unit="A")

    def check(self, like: Particles) -> None:
        """Refuse optics without a lens, which no defocus belongs to."""
        neutral = np.flatnonzero(like.optics_column("amplitude_contrast") >= 1)
        if len(neutral):
            raise InputError(
                "conditions=ranges draws a defocus, and these particles have no CTF",
                file=like.source,
                row=int(like.row[neutral[0]]),
                expected="an amplitude contrast below 1, voltage and spherical aberration",
                found="an amplitude contrast of 1 or more",
                remedy="leave conditions out: their CTF is 1 everywhere",
            )

    def draw(self, block: Block, like: Particles) -> Drawn:  # noqa: ARG002  of no measured one
        """Draw those of a block's rows."""
        numbers = block.uniform(Purpose.RANGES)
        mean = _between(self.defocus, numbers[:, 0])
        half = _between(self.astigmatism, numbers[:, 1]) / 2
        defocus = np.column_stack([mean + half, mean - half, 180 * numbers[:, 2]])
        return Drawn(defocus, _between(self.phase_shift, numbers[:, 3]))

    def nearby(self, drawn: Drawn, like: Particles, rows: NDArray[np.int64]) -> Drawn:  # noqa: ARG002  no one's
        """Return those of the particle in the middle: they are in focus together."""
        return drawn


def _check_range(name: str, given: Sequence[float], unit: str) -> None:
    if len(given) != 2 or not given[0] <= given[1]:
        raise InputError(
            f"{name} is no range",
            expected=f"[least, largest] in {unit}",
            found=list(given),
            remedy="write the smaller number first",
        )


def _between(limits: Sequence[float], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = limits
    return low + (high - low) * numbers
