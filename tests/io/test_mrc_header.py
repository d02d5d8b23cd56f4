"""Headers that keep to the standard only in part: machine stamps, and the letters MAP."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
from mrcfile.dtypes import HEADER_DTYPE

from cryoalign.errors import InputError
from cryoalign.io import mrc_header
from cryoalign.io.mrc import MrcStack
from cryoalign.io.mrc_header import read_header

if TYPE_CHECKING:
    from pathlib import Path

NX, MODE, EXTENDED, MAP, STAMP = 0, 12, 92, 208, 212  # bytes of the header
RIGHT = {"<": bytes([0x44, 0x44, 0, 0]), ">": bytes([0x11, 0x11, 0, 0])}


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mrc_header, "_warned", set())


def damaged(path: Path, order: str, parts: dict[int, bytes], mode: type = np.float32) -> MrcStack:
    """A stack of 3 images with a changed header; their 256 px read as 65,536 in the wrong byte order."""
    images = np.zeros((3, 256, 256), mode)
    images[2, 0] = np.arange(256) % 100
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(images.astype(images.dtype.newbyteorder(order)))
        mrc.set_image_stack()
        mrc.voxel_size = 1.5
    content = bytearray(path.read_bytes())
    for place, value in parts.items():
        content[place : place + 4] = value
    path.write_bytes(content)
    return MrcStack(path)


@pytest.mark.parametrize("mode", [np.int16, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [bytes(4), b"\x44\0\0\0", b"\x17\x17\0\0", b"\xff\xff\xff\xff", b"wrong"])
def test_stamps(
    tmp_path: Path, order: str, stamp: bytes, mode: type, caplog: pytest.LogCaptureFixture
) -> None:
    other = RIGHT["<" if order == ">" else ">"]
    stack = damaged(tmp_path / "a.mrcs", order, {STAMP: other if stamp == b"wrong" else stamp}, mode)
    assert (stack.count, stack.box, stack.pixel_size) == (3, 256, 1.5)
    np.testing.assert_array_equal(stack.read(2)[0], np.arange(256) % 100)
    assert "machine stamp" in caplog.text
    assert {"<": "little-endian", ">": "big-endian"}[order] in caplog.text


@pytest.mark.parametrize("order", ["<", ">"])
def test_without_map(tmp_path: Path, order: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in (bytes(4), b"    ", b"TITL"):
        stack = damaged(tmp_path / "a.mrcs", order, {MAP: name, STAMP: bytes(4)})
        np.testing.assert_array_equal(stack.read(2)[0], np.arange(256) % 100)
    assert caplog.text.count("lacks the letters MAP") == 1  # one folder, one warning


def test_what_makes_no_sense_is_no_mrc_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not an MRC file(.|\n)*mode 77 and sizes 256, 256, 3"):
        damaged(tmp_path / "a.mrcs", "<", {MODE: b"\x4d\0\0\0", MAP: bytes(4)})
    with pytest.raises(InputError, match=r"mode is not supported(.|\n)*mode 77"):
        damaged(tmp_path / "a.mrcs", "<", {MODE: b"\x4d\0\0\0"})
    for place, value in ((NX, bytes(4)), (EXTENDED, b"\xff\xff\xff\xff")):
        with pytest.raises(InputError, match="impossible size"):
            damaged(tmp_path / "a.mrcs", "<", {place: value})


def test_a_packed_stack_has_to_be_unpacked(tmp_path: Path) -> None:
    path = damaged(tmp_path / "a.mrcs", "<", {}).path
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_header(path).packed
    with pytest.raises(InputError, match=r"the image stack is packed(.|\n)*unpack it"):
        MrcStack(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("stamped", "flags", "unsigned"), [(True, 0, True), (True, 1, False), (False, 0, False)]
)
def test_bytes_of_imod(tmp_path: Path, order: str, stamped: bool, flags: int, unsigned: bool) -> None:
    """Mode 0 was unsigned in IMOD; its stamp without the flag says that it still is."""
    parts = {156: np.array(flags, f"{order}i4").tobytes()}
    if stamped:
        parts[152] = np.array(1146047817, f"{order}i4").tobytes()
    path = tmp_path / "a.mrcs"
    damaged(path, "<", parts, np.int8)  # mrcfile has but one order for single bytes
    content = bytearray(path.read_bytes())
    little, other = HEADER_DTYPE.newbyteorder("<"), HEADER_DTYPE.newbyteorder(order)
    content[:1024] = np.frombuffer(content[:1024], little).astype(other).tobytes()
    content[STAMP : STAMP + 4] = RIGHT[order]
    content[-256 * 256 :] = bytes(range(256)) * 256
    path.write_bytes(content)
    right = np.arange(256, dtype=np.uint8) if unsigned else np.arange(256, dtype=np.uint8).view(np.int8)
    np.testing.assert_array_equal(MrcStack(path).read(2)[0], right.astype(np.float32))


def test_unsigned_bytes_as_found(shared_data: Path) -> None:
    faults = shared_data / "faults"
    stack = MrcStack(faults / "stack_imod_unsigned.mrcs")
    right = np.load(faults / "stack_imod_unsigned_right_values.npy")
    np.testing.assert_array_equal([stack.read(slot) for slot in range(len(stack))], right)


def test_a_longer_file_is_warned_of_with_both_sizes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = damaged(tmp_path / "a.mrcs", "<", {}).path
    assert "longer" not in caplog.text
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(5000))
    MrcStack(path)
    assert f"{size + 5000:,} bytes, where {size:,} make" in caplog.text
