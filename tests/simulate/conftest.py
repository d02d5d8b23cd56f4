"""What several tests of the command start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from tests.simulate.commanded import BOX, PIXEL_SIZE, STAR

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def density(tmp_path: Path) -> np.ndarray:
    """A map of a few blobs, written with the STAR file."""
    (tmp_path / "particles.star").write_text(STAR)
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    blobs = [(-3, 1, 4), (2, -4, 0), (0, 3, -2)]
    blob = [np.exp(-((z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2) / (2 * 1.5**2)) for a, b, c in blobs]
    density = sum(weight * one for weight, one in enumerate(blob, start=1)).astype(np.float32)
    mrcfile.write(tmp_path / "map.mrc", density, voxel_size=PIXEL_SIZE)
    return density
