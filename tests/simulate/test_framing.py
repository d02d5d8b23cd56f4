"""The size of the map beside that of the images: what a header says, and what nobody set in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.evaluate.case import Case
from cryoalign.simulate.framing import fitting_volume
from cryoalign.simulate.specimen import DensityMap

if TYPE_CHECKING:
    from pathlib import Path

BOX = 24


def voxel_size(
    folder: Path,
    header: float,
    sizes: float | tuple[float, ...],
    box: int = BOX,
    boxes: tuple[int, ...] = (),
    **given: float,
) -> float:
    density = np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32)
    mrcfile.write(folder / "map.mrc", density, voxel_size=header, overwrite=True)
    specimen = DensityMap(folder / "map.mrc", **given)
    return fitting_volume(specimen, box, np.atleast_1d(np.array(sizes, float)), boxes).pixel_size


def test_one_angstrom_is_what_nobody_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert voxel_size(tmp_path, 1.0, 1.7076) == 1.7076
    assert "its header says 1 A" in caplog.text
    assert "1.7076 A is taken" in caplog.text
    caplog.clear()
    assert voxel_size(tmp_path, 1.0, 1.7, box=16, boxes=(BOX,)) == 1.7  # images cropped by box=
    assert voxel_size(tmp_path, 1.0, 1.0, box=BOX) == 1.0
    assert voxel_size(tmp_path, 1.25, 1.7) == 1.25  # set
    assert voxel_size(tmp_path, 1.0, 1.7, pixel_size=1.0) == 1.0  # said by the user
    assert voxel_size(tmp_path, 1.0, 1.4, box=16) == 1.0  # another grid: 1 A may be meant
    assert voxel_size(tmp_path, 1.0, (1.3, 1.7)) == 1.0  # of which images?
    assert caplog.text.count("is taken") == 1


def test_what_disagrees_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert voxel_size(tmp_path, 1.34, 1.34, pixel_size=1.3401) == 1.3401
    assert voxel_size(tmp_path, 1.0, 1.34, pixel_size=1.34) == 1.34
    assert voxel_size(tmp_path, 1.0, 1.4) == 1.4
    assert "header says 1.34" not in caplog.text
    assert "spans" not in caplog.text
    voxel_size(tmp_path, 1.34, 1.5, pixel_size=1.5)
    assert "its header says 1.34 A; 1.5 A are taken, of volume_pixel_size=" in caplog.text
    for size in (1.34 * 1.55, 1.34 / 1.55):
        caplog.clear()
        voxel_size(tmp_path, 1.34, size)
        assert "the map spans 32.16 A (24 px of 1.34 A), the images" in caplog.text
    caplog.clear()
    voxel_size(tmp_path, 1.34, 1.34 * 1.45)
    assert "spans" not in caplog.text


def test_the_reference_map_of_an_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    class Pairs:
        box, pixel_size = BOX, 1.83

    volume = np.zeros((BOX,) * 3)
    assert Case(Pairs(), volume=volume, voxel_size=1.0).voxel_size == 1.83
    assert Case(Pairs(), volume=volume, voxel_size=1.2).voxel_size == 1.2
    assert Case(Pairs(), volume=np.zeros((30,) * 3), voxel_size=1.0).voxel_size == 1.0
    assert caplog.text.count("is taken") == 1


def test_a_map_as_many_programs_leave_it(shared_data: Path) -> None:
    sizes = np.array([4.0])
    one = fitting_volume(DensityMap(shared_data / "faults" / "map_header_1A.mrc"), 24, sizes)
    other = fitting_volume(DensityMap(shared_data / "faults" / "map_4A.mrc"), 24, sizes)
    assert one.pixel_size == other.pixel_size == 4.0
    assert (one.values == other.values).all()
