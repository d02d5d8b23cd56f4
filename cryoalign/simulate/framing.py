"""What fits into the images: the specimen's volume, and the shifts."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.mrc_volume import SAME, images_voxel_size, warn_of_other_field

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles
    from cryoalign.simulate.specimen import Specimen, Volume

_log = logging.getLogger(__name__)

MOST_OUTSIDE = 0.01
"""Share of a map's power beyond a box up to which nothing is said to be cut off."""
_FEWEST_PIXELS = 2  # a volume that spans less is a wrong pixel size, not a particle


def warn_of_shifts(particles: Particles, box: int) -> None:
    """Warn of particles whose centre lies outside the image: it enters again from the other side."""
    limit = particles.optics_column("pixel_size") * box / 2
    far = np.flatnonzero((np.abs(particles.shift) > limit[:, None]).any(axis=1))
    if len(far):
        _log.warning(
            "%s: %d of %d shifts exceed half the box, the first in row %d; is their unit right?",
            particles.source, len(far), len(particles), particles.row[far[0]],
        )  # fmt: skip


def power_outside(values: Tensor, side: int) -> float:
    """Return the share of a map's power outside a cube of `side` voxels about its origin."""
    size = len(values)
    side = min(size, side)
    first = size // 2 - side // 2
    inner = values[(slice(first, first + side),) * 3]
    return 1 - float(inner.double().square().sum() / values.double().square().sum())


def _warn_of_lost_power(volume: Volume, box: int, pixel_size: float, specimen: Specimen) -> None:
    """Warn of a map that does not fit into the images' box."""
    outside = power_outside(volume.values, math.ceil(box * pixel_size / volume.pixel_size))
    if outside > MOST_OUTSIDE:
        _log.warning(
            "%s: %.0f %% of the map's power lies outside the images' box of %d px and is cut off",
            specimen.file, 100 * outside, box,
        )  # fmt: skip


def fitting_volume(
    specimen: Specimen, box: int, pixel_sizes: NDArray[np.float64], boxes: Collection[int] = ()
) -> Volume:
    """Make the volume; refuse one that spans next to nothing, and warn of one that does not fit."""
    volume = specimen.volume(box, float(pixel_sizes.min()))
    coarsest, side = float(pixel_sizes.max()), len(volume.values)
    if volume.from_header and coarsest / pixel_sizes.min() - 1 < SAME:
        found = images_voxel_size(specimen.file, volume.pixel_size, side, {box, *boxes}, coarsest)
        volume = replace(volume, pixel_size=found)
    span = side * volume.pixel_size
    if span < _FEWEST_PIXELS * coarsest:
        raise InputError(
            "the volume is smaller than the images can show",
            file=specimen.file,
            expected=f"{_FEWEST_PIXELS} image pixels or more, {_FEWEST_PIXELS * coarsest:g} A",
            found=f"{side} voxels of {volume.pixel_size:g} A, {span:g} A",
            remedy="check the voxel size; give the right one with volume_pixel_size=",
        )
    warn_of_other_field(specimen.file, side, volume.pixel_size, box, coarsest)
    _warn_of_lost_power(volume, box, coarsest, specimen)
    return volume
