"""Maps as other programs write them: packed, of any axis order, not cubes; and what is no map."""

from __future__ import annotations

import bz2
import gzip
import logging
from itertools import permutations
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.mrc_volume import read_volume, volume_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def write(path: Path, values: NDArray[np.float32], pixel_size: float = 2.5) -> Path:
    with mrcfile.new(path, values, overwrite=True) as mrc:
        mrc.voxel_size = pixel_size
    return path


@pytest.fixture
def values() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)


def test_volume(tmp_path: Path, values: NDArray[np.float32], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        volume, pixel_size = read_volume(write(tmp_path / "v.mrc", values))
    np.testing.assert_array_equal(volume, values)
    assert pixel_size == pytest.approx(2.5)
    assert volume.flags.writeable
    assert volume.flags.c_contiguous
    assert not caplog.records


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("behind", [b"", b"\0" * 700, b"written by hand"])
def test_packed(
    tmp_path: Path, values: NDArray[np.float32], pack: Callable[[bytes], bytes], behind: bytes
) -> None:
    packed = tmp_path / "emd.map"  # by what it holds, not by its name
    packed.write_bytes(pack(write(tmp_path / "v.mrc", values).read_bytes()) + behind)
    volume, pixel_size = read_volume(packed)
    np.testing.assert_array_equal(volume, values)
    assert pixel_size == pytest.approx(2.5)


def test_packed_and_cut_off(tmp_path: Path, values: NDArray[np.float32]) -> None:
    whole = write(tmp_path / "v.mrc", values).read_bytes()
    cut = tmp_path / "v.map.gz"
    for content, message in (
        (gzip.compress(whole)[:-200], "cut off or damaged"),
        (gzip.compress(whole)[:-8] + b"\1" * 8, "cut off or damaged"),
        (bz2.compress(whole)[:-9], "cut off or damaged"),
        (gzip.compress(whole[:-100]), r"truncated(.|\n)*found: 1,788 bytes"),
        (gzip.compress(whole[:1000]), "not an MRC file"),
        (b"\x1f\x8b", "cut off or damaged"),
        (b"\xfd7zXZ\0" + whole, r"packed by xz(.|\n)*unpack it"),
        (b"PK\x03\x04" + whole, "packed by zip"),
    ):
        cut.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read_volume(cut)
        assert caught.value.file == cut


@pytest.mark.parametrize("axes", list(permutations((1, 2, 3))))
def test_permuted_axes(tmp_path: Path, axes: tuple[int, int, int], caplog: pytest.LogCaptureFixture) -> None:
    """The density at every x, y, z is the same, whichever axis the columns run along."""
    density = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)  # z, y, x
    along = [3 - axis for axis in axes[::-1]]  # of sections, rows and columns
    path = tmp_path / "v.mrc"
    with mrcfile.new(path, np.ascontiguousarray(density.transpose(along))) as mrc:
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
        mrc.header.mx, mrc.header.my, mrc.header.mz = 6, 5, 4
        mrc.header.cella = (12.0, 10.0, 8.0)
        mrc.header.nxstart, mrc.header.nystart, mrc.header.nzstart = (10 * axis for axis in axes)
    with caplog.at_level(logging.INFO):
        volume, pixel_size = read_volume(path)
    # 4, 5 and 6 voxels to 6: the middle, 2, 2 and 3, comes to 3
    np.testing.assert_array_equal(volume[1:5, 1:6], density)
    assert np.count_nonzero(volume) == density.size
    assert volume[3, 3, 3] == density[2, 2, 3]
    assert pixel_size == pytest.approx(2.0)
    assert "begin at voxel 10, 20, 30 of a larger cell" in caplog.text
    if axes == (1, 2, 3):
        assert "stored in another order" not in caplog.text
    else:
        turned = axes in {(2, 3, 1), (3, 1, 2)}
        assert ("turns the map" in caplog.text) == turned
        assert ("the other hand" in caplog.text) != turned


@pytest.mark.parametrize("shape", [(4, 6, 6), (5, 6, 7), (7, 4, 5), (3, 9, 9)])
def test_no_cube(tmp_path: Path, shape: tuple[int, ...], caplog: pytest.LogCaptureFixture) -> None:
    values = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    with caplog.at_level(logging.INFO):
        volume, _ = read_volume(write(tmp_path / "v.mrc", values))
    side = max(shape)
    assert volume.shape == (side, side, side)
    middle = tuple(slice(side // 2 - n // 2, side // 2 - n // 2 + n) for n in shape)
    np.testing.assert_array_equal(volume[middle], values)
    assert np.count_nonzero(volume) == values.size
    assert f"{shape[2]} x {shape[1]} x {shape[0]} voxels are padded with zeros" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.set_data(np.eye(24, dtype=np.float32)[:2].reshape(2, 4, 6)[:1]),
            r"cube(.|\n)*6 x 4 x 1",
        ),
        (lambda m: m.set_data(np.ones((6, 6, 6), np.float32)), "constant"),
        (lambda m: m.data.__setitem__((0, 0, 0), np.nan), "NaN"),
        (lambda m: setattr(m.header, "mapc", 3), r"axes of the volume are not(.|\n)*found: 3, 2, 3"),
        (lambda m: setattr(m, "voxel_size", (1.0, 1.0, 2.0)), "not cubic"),
        (
            lambda m: (m.set_data(np.eye(24, dtype=np.float32).reshape(16, 6, 6)), m.set_image_stack()),
            r"a stack of images, not a volume(.|\n)*6 x 6 x 16 px",
        ),
    ],
)
def test_bad_volume(tmp_path: Path, change: Callable[[mrcfile.mrcfile.MrcFile], None], message: str) -> None:
    path = tmp_path / "v.mrc"
    with mrcfile.new(path, np.arange(216, dtype=np.float32).reshape(6, 6, 6)) as mrc:
        change(mrc)
    with pytest.raises(InputError, match=message):
        read_volume(path)


def test_a_map_is_known_again_however_it_was_written(tmp_path: Path) -> None:
    """By what is read of it: no label, time, statistics, mode, byte order, axis order or packing."""
    values = np.random.default_rng(0).integers(-9, 9, size=(4, 6, 5)).astype(np.float32)
    known = volume_fingerprint(write(tmp_path / "v.mrc", values))
    labelled = write(tmp_path / "labelled.mrc", values)
    with mrcfile.open(labelled, "r+") as mrc:
        mrc.add_label("sharpened, 2026-11-28  12:00:00")
        mrc.header.rms, mrc.header.dmax = -1, 0
    turned = write(tmp_path / "turned.mrc", values.transpose(1, 2, 0))
    with mrcfile.open(turned, "r+") as mrc:
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = 3, 1, 2
    packed = tmp_path / "packed.map.gz"
    packed.write_bytes(gzip.compress(labelled.read_bytes()))
    written = [labelled, turned, packed]
    written += [write(tmp_path / f"{kind}.mrc", values.astype(kind)) for kind in ("i1", "i2", "f2")]
    with mrcfile.new(tmp_path / "swapped.mrc") as mrc:
        mrc.set_data(values.astype(">f4"))
        mrc.voxel_size = 2.5
    written.append(tmp_path / "swapped.mrc")
    assert {path.name: volume_fingerprint(path) == known for path in written} == {
        path.name: True for path in written
    }
    assert len({path.read_bytes() for path in (tmp_path / "v.mrc", *written)}) == len(written) + 1
    other = values.copy()
    other[0, 0, 0] += 1
    others = {
        "a voxel": write(tmp_path / "a.mrc", other),
        "the voxel size": write(tmp_path / "b.mrc", values, pixel_size=2.51),
        "the order": write(tmp_path / "c.mrc", values[::-1].copy()),
        "the shape": write(tmp_path / "d.mrc", values.reshape(4, 5, 6)),
    }
    assert {what: volume_fingerprint(path) == known for what, path in others.items()} == dict.fromkeys(
        others, False
    )
