"""Where new particles are looked at from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoalign.errors import InputError, within
from cryoalign.physics.rotation import matrix_to_euler
from cryoalign.population.blocks import Purpose, chosen
from cryoalign.population.views import read_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.population.blocks import Block


class Poses(Protocol):
    """Draw poses."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from."""

    def check(self, count: int) -> None:
        """Raise an InputError if there are no poses for so many particles."""

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:
        """Return (1000, 3) rot, tilt and psi in degrees of a block's rows."""


class _Drawn:
    """Poses of as many particles as one wants, from no file."""

    files: tuple[Path, ...] = ()

    def check(self, count: int) -> None:
        """Take any number."""


@dataclass(frozen=True)
class Uniform(_Drawn):
    """Poses that are uniform over all rotations."""

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:  # noqa: ARG002  of no measured one
        """Return (1000, 3) rot, tilt and psi in degrees."""
        rot, height, psi, _ = block.uniform(Purpose.POSE).T
        return np.column_stack([_turn(rot), np.rad2deg(np.arccos(1 - 2 * height)), _turn(psi)])


@dataclass(frozen=True, kw_only=True)
class Like(_Drawn):
    """Poses of measured particles, each turned a little: their preferred views.

    Parameters
    ----------
    jitter : float
        In degrees: the standard deviation of a small rotation about each of three axes.

    Raises
    ------
    InputError
        If it is out of its range.
    """

    jitter: float = 3.0

    def __post_init__(self) -> None:
        within("poses.jitter", self.jitter, 0, 180, unit="degrees")

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:
        """Return (1000, 3) rot, tilt and psi in degrees."""
        numbers = block.uniform(Purpose.POSE)
        angles = like.angles[chosen(numbers[:, 0], len(like))]
        if self.jitter == 0:
            return angles
        turned = Rotation.from_rotvec(self.jitter * block.normal(Purpose.POSE)[:, 1:], degrees=True)
        return _angles(Rotation.from_euler("ZYZ", angles, degrees=True) * turned)


@dataclass(frozen=True, kw_only=True)
class Cone(_Drawn):
    """Views from inside a cone, uniform over its solid angle, with any psi.

    Parameters
    ----------
    axis : sequence of float
        Of the cone, x, y and z in the map's frame, of any length: the direction of the beam of the middle
        view, e.g. [0, 0, 1] for tilt 0.
    angle : float
        Between the axis and the outermost views, in degrees.

    Raises
    ------
    InputError
        If the axis is none, or the angle is out of its range.
    """

    axis: Sequence[float] = (0.0, 0.0, 1.0)
    angle: float = 30.0

    def __post_init__(self) -> None:
        within("poses.angle", self.angle, 0, 180, unit="degrees")
        if len(self.axis) != 3 or not np.any(self.axis):
            raise InputError(
                "poses.axis is no direction",
                expected="three numbers [x, y, z] that are not all 0",
                found=list(self.axis),
                remedy="write poses.axis=[0,0,1], say",
            )

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:  # noqa: ARG002  of no measured one
        """Return (1000, 3) rot, tilt and psi in degrees."""
        height, azimuth, psi, _ = block.uniform(Purpose.POSE).T
        cosine = 1 - height * (1 - np.cos(np.deg2rad(self.angle)))
        about_z = np.column_stack([_turn(azimuth), np.rad2deg(np.arccos(cosine)), _turn(psi)])
        x, y, z = np.asarray(self.axis, dtype=np.float64) / np.linalg.norm(self.axis)
        middle = [np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arctan2(np.hypot(x, y), z))]
        return _angles(
            Rotation.from_euler("ZY", middle, degrees=True)
            * Rotation.from_euler("ZYZ", about_z, degrees=True)
        )


@dataclass(frozen=True, kw_only=True)
class FromFile:
    """Poses of a file: new particle i has the pose of its row i.

    Parameters
    ----------
    file : Path or str
        A STAR file with rot, tilt and psi, whatever else it says, or a ``.cs`` file.
    """

    file: Path | str = field(repr=False)  # poses count by what is in it

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (Path(self.file),)

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """(N, 3) rot, tilt and psi in degrees."""
        return read_views(Path(self.file))

    def check(self, count: int) -> None:
        """Refuse a file of fewer rows."""
        if count > len(self.angles):
            raise InputError(
                "there are fewer poses than particles to be made",
                file=self.file,
                expected=f"{count} rows or more",
                found=f"{len(self.angles)} rows",
                remedy=f"give count={len(self.angles)}, or a longer file",
            )

    def draw(self, block: Block, like: Particles) -> NDArray[np.float64]:  # noqa: ARG002  of no measured one
        """Return (1000, 3) rot, tilt and psi in degrees; beyond the file, where nobody asks, its last.

        Neighbours have those of any rows: that of the particle in the middle would be one pose for all.
        """
        if block.neighbour:
            return self.angles[chosen(block.uniform(Purpose.POSE)[:, 0], len(self.angles))]
        return self.angles[np.minimum(block.rows, len(self.angles) - 1)]


def _turn(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles from -180 to 180 degrees for numbers between 0 and 1."""
    return 360 * numbers - 180


def _angles(rotations: Rotation) -> NDArray[np.float64]:
    """Return (N, 3) rot, tilt and psi in degrees; at a pole, where rot and psi are one turn, psi is 0."""
    angles: NDArray[np.float64] = matrix_to_euler(torch.from_numpy(rotations.as_matrix())).numpy()
    return angles
