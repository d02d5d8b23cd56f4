"""MRC stacks and volumes: every mode and byte order, every way in which a file can be wrong."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.mrc import MrcStack, StackWriter, read_volume

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def _write(path: Path, data: np.ndarray, order: str = "<", pixel_size: float = 1.5) -> Path:
    """Write a stack with mrcfile's own code, in either byte order, behind an extended header."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(data.astype(data.dtype.newbyteorder(order)))
        mrc.set_extended_header(np.zeros(256, dtype="V1"))
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", TYPES)
def test_every_mode_and_byte_order(tmp_path: Path, mode: int, order: str) -> None:
    images = np.arange(3 * 8 * 8).reshape(3, 8, 8).astype(TYPES[mode])
    stack = MrcStack(_write(tmp_path / "a.mrcs", images, order))
    assert mrcfile.open(stack.path, header_only=True).header.mode == mode
    assert (stack.count, stack.box, len(stack)) == (3, 8, 3)
    assert stack.pixel_size == pytest.approx(1.5)
    image = stack.read(2)
    assert type(image) is np.ndarray
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, images[2].astype(np.float32))


def test_single_image_without_pixel_size(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    mrcfile.write(tmp_path / "a.mrc", image)
    stack = MrcStack(tmp_path / "a.mrc")
    assert stack.pixel_size is None
    np.testing.assert_array_equal(stack.read(0), image)


def test_read_does_not_write_into_the_file(tmp_path: Path) -> None:
    stack = MrcStack(_write(tmp_path / "a.mrcs", np.ones((2, 4, 4), np.float32)))
    stack.read(0)[:] = 7
    assert stack.read(0).max() == 1


def test_pickle_leaves_the_map_behind(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(50, 32, 32)).astype(np.float32)
    stack = MrcStack(_write(tmp_path / "a.mrcs", images))
    stack.read(0)
    text = pickle.dumps(stack)
    assert len(text) < 2000
    np.testing.assert_array_equal(pickle.loads(text).read(49), images[49])  # noqa: S301


@pytest.mark.parametrize("slot", [-1, 2])
def test_image_past_the_end(tmp_path: Path, slot: int) -> None:
    stack = MrcStack(_write(tmp_path / "a.mrcs", np.ones((2, 4, 4), np.float32)))
    with pytest.raises(InputError, match=rf"a\.mrcs: .*past the end(.|\n)*1 to 2(.|\n)*found: {slot + 1}"):
        stack.read(slot)


@pytest.mark.parametrize("opener", [MrcStack, read_volume])
def test_what_is_not_an_mrc_file(tmp_path: Path, opener: type[MrcStack]) -> None:
    bad = tmp_path / "bad.mrcs"
    with pytest.raises(InputError, match="no such file"):
        opener(bad)
    bad.mkdir()
    with pytest.raises(InputError, match="not a file"):
        opener(bad)
    bad.rmdir()
    contents = {
        b"": "empty",
        b"data_particles\n\nloop_\n" * 100: "not an MRC file",
        np.random.default_rng(0).bytes(5000): "not an MRC file",
        b"MAP": "not an MRC file",
    }
    for content, message in contents.items():
        bad.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            opener(bad)
        assert caught.value.file == bad


def test_truncated(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mrcs", np.ones((5, 8, 8), np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(InputError, match=r"truncated(.|\n)*5 sections(.|\n)*3 whole sections"):
        MrcStack(path)
    path.write_bytes(whole[:900])
    with pytest.raises(InputError, match="not an MRC file"):
        MrcStack(path)


def test_unusable_headers(tmp_path: Path) -> None:
    complex_image = _write(tmp_path / "c.mrcs", np.ones((1, 8, 8), np.complex64))
    with pytest.raises(InputError, match=r"mode is not supported(.|\n)*mode 4"):
        MrcStack(complex_image)
    with pytest.raises(InputError, match=r"not square(.|\n)*8 x 4 px"):
        MrcStack(_write(tmp_path / "r.mrcs", np.ones((1, 4, 8), np.float32)))


def test_writer_gives_a_valid_file(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(100, 3, size=(7, 10, 10)).astype(np.float32)
    path = tmp_path / "new" / "out.mrcs"
    with StackWriter(path, 7, 10, 1.25) as writer:
        writer.write(images[:4])
        assert not path.exists()
        writer.write(images[4])
        writer.write(images[5:])
    assert [entry.name for entry in path.parent.iterdir()] == ["out.mrcs"]
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, images)
        assert mrc.is_image_stack()
        assert float(mrc.voxel_size.x) == pytest.approx(1.25)
        assert float(mrc.header.rms) == pytest.approx(images.std(dtype=np.float64), rel=1e-6)
        assert float(mrc.header.dmean) == pytest.approx(images.mean(dtype=np.float64), rel=1e-6)
    np.testing.assert_array_equal(MrcStack(path).read(6), images[6])


def _write_two(path: Path, images: np.ndarray, error: BaseException | None = None) -> None:
    with StackWriter(path, 2, 4, 1.0) as writer:
        writer.write(images)
        if error is not None:
            raise error


def test_writer_leaves_nothing_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.mrcs"
    with pytest.raises(KeyboardInterrupt):
        _write_two(path, np.zeros((2, 4, 4)), KeyboardInterrupt())
    with pytest.raises(ValueError, match="2 images were announced, 1 written"):
        _write_two(path, np.zeros((4, 4)))
    with pytest.raises(ValueError, match="does not fit"):
        _write_two(path, np.zeros((3, 4, 4)))
    assert not list(tmp_path.iterdir())


def test_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    too_many = shutil.disk_usage(tmp_path).free // (4 * 256**2) + 1
    with (
        pytest.raises(InputError, match="no room") as caught,
        StackWriter(tmp_path / "a.mrcs", too_many, 256, 1.0),
    ):
        pytest.fail("the block must not be entered")
    assert "bytes free" in str(caught.value)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match="no room"), StackWriter(tmp_path / "a.mrcs", 1, 8, 1.0):
        pytest.fail("the block must not be entered")
    assert not list(tmp_path.iterdir())


@pytest.mark.realdata
def test_real_stack_agrees_with_mrcfile(shared_data: Path) -> None:
    path = shared_data / "formats" / "aspire17.mrcs"
    stack = MrcStack(path)
    assert (stack.count, stack.box, stack.pixel_size) == (17, 200, None)
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(stack.read(16), mrc.data[16])
