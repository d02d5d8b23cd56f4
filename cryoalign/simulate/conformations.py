"""Several maps of one particle: conformations, each on the grid of the first."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from cryoalign.errors import InputError
from cryoalign.io.mrc_volume import SAME
from cryoalign.physics.resample import resample_volume
from cryoalign.simulate.framing import MOST_OUTSIDE, fitting_volume, power_outside
from cryoalign.simulate.specimen import AtomicModel, Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cryoalign.simulate.specimen import Specimen

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """The grid of the first map, and what the others' files say of theirs.

    Attributes
    ----------
    side : int
        Of the first map in voxels.
    pixel_size : float
        Its voxel size in A.
    volts : bool
        As of `cryoalign.simulate.specimen.Volume`.
    given : tuple of float
        Voxel size of each map in A, before it is brought to that of the first.
    """

    side: int
    pixel_size: float
    volts: bool
    given: tuple[float, ...]


class Conformations:
    """The maps or models that particles are images of, one of which is in memory at a time.

    Parameters
    ----------
    specimens : sequence of Specimen
        The first one's grid is that of all, and what centres it moves the others.

    Raises
    ------
    InputError
        If there are none, or one is there twice.
    """

    def __init__(self, specimens: Sequence[Specimen]) -> None:
        if not specimens:
            raise InputError(
                "there is no map", expected="one map or more", remedy="give a map: volume=map.mrc"
            )
        if len({type(specimen) for specimen in specimens}) > 1:
            raise InputError(
                "maps and atomic models stand in one list",
                expected="all of one kind",
                remedy="give only maps, or only models",
            )
        first, *others = specimens
        self.names = tuple(specimen.name for specimen in specimens)
        again = next((name for place, name in enumerate(self.names) if name in self.names[:place]), None)
        if again is not None:
            raise InputError("a map stands twice in the list", file=again, remedy="name each map once")
        self.specimens: tuple[Specimen, ...] = (first, *(other.moved_as(first) for other in others))

    def __len__(self) -> int:
        return len(self.specimens)

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from, each file once."""
        return tuple(dict.fromkeys(specimen.file for specimen in self.specimens))

    @property
    def options(self) -> list[dict[str, str]]:
        """What each was made with, its file among it."""
        return [
            {name: str(value) for name, value in vars(specimen).items() if not name.startswith("_")}
            for specimen in self.specimens
        ]

    @property
    def contents(self) -> dict[str, str]:
        """Hash of what each of the files holds, by its name."""
        of_each = {specimen.file: specimen for specimen in self.specimens}  # a file may hold several models
        return {str(file): specimen.content for file, specimen in of_each.items()}

    def frame(
        self, first: Volume, box: int, pixel_sizes: NDArray[np.float64], boxes: Collection[int]
    ) -> Frame:
        """Look at all maps, one after the other, and refuse those that do not fit onto the first one's grid.

        Parameters
        ----------
        first : Volume
            That of the first one.
        box : int
            Of the images, in px.
        pixel_sizes : (N,) float64
            Of the images, in A.
        boxes : collection of int
            Those that the images' metadata state.

        Raises
        ------
        InputError
            If a file cannot be used, or density would be cut.
        """
        given = [first.pixel_size]
        grid = Frame(len(first.values), first.pixel_size, first.volts, ())
        for specimen in self.specimens[1:]:
            if isinstance(specimen, AtomicModel):
                specimen.check(box, float(pixel_sizes.min()))
                given.append(first.pixel_size)
                continue
            volume = fitting_volume(specimen, box, pixel_sizes, boxes)
            _refuse_cut(specimen, volume, grid, self.specimens[0])
            given.append(volume.pixel_size)
        return replace(grid, given=tuple(given))

    def volume(self, number: int, frame: Frame, box: int, pixel_size: float) -> Volume:
        """Make one map, on the grid of the first.

        Parameters
        ----------
        number : int
            From 1; 0: no particle.
        frame : Frame
            Of `frame`.
        box : int
            Of the images, in px.
        pixel_size : float
            The smallest of the images, in A.
        """
        if number == 0:
            return Volume(torch.zeros(2, 2, 2), frame.pixel_size, volts=frame.volts)
        specimen = self.specimens[number - 1]
        volume = replace(specimen.volume(box, pixel_size), pixel_size=frame.given[number - 1])
        if _is_on(volume, frame):
            return replace(volume, pixel_size=frame.pixel_size)
        values = resample_volume(
            volume.values, volume.pixel_size, box=frame.side, new_pixel_size=frame.pixel_size
        )
        return replace(volume, values=values, pixel_size=frame.pixel_size)


def _is_on(volume: Volume, frame: Frame) -> bool:
    return len(volume.values) == frame.side and abs(volume.pixel_size / frame.pixel_size - 1) <= SAME


def _refuse_cut(specimen: Specimen, volume: Volume, frame: Frame, first: Specimen) -> None:
    """Refuse a map of more than fits into the first one's box; say how others are brought to its grid."""
    span = frame.side * frame.pixel_size
    outside = power_outside(volume.values, math.ceil(span / volume.pixel_size * (1 - SAME)))
    theirs, its = (
        f"{side} px of {size:.4g} A"
        for side, size in ((frame.side, frame.pixel_size), (len(volume.values), volume.pixel_size))
    )
    if outside > MOST_OUTSIDE:
        raise InputError(
            f"density of this map would be cut: {100 * outside:.0f} % of its power lies outside the box of "
            "the first map",
            file=specimen.file,
            expected=f"a map within {span:.4g} A, the {theirs} of {first.file}",
            found=its,
            remedy="name the map with the largest box first, or mask or crop this one",
        )
    if not _is_on(volume, frame):
        _log.info("%s: its %s are brought to the %s of %s", specimen.file, its, theirs, first.file)
