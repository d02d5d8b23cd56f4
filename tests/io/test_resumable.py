from __future__ import annotations

import fcntl
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.mrc import StackWriter
from cryoalign.io.output import MARKER, resumable

IMAGES = np.random.default_rng(0).normal(size=(7, 6, 6)).astype(np.float32)


def write(path: Path, stop: int | None = None, *, images: np.ndarray = IMAGES) -> int:
    """Write two images at a time from where the stack stands; fail before `stop`. Gives the first number."""
    with StackWriter(path, len(images), images.shape[-1], 2.0, resume=True) as writer:
        first = writer.written
        while writer.written < len(images):
            if writer.written == stop:
                raise KeyboardInterrupt
            writer.write(images[writer.written : writer.written + 2])
    return first


def test_a_stack_goes_on_where_it_was_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mrcs", stop=4)
    assert not (tmp_path / "a.mrcs").exists()
    assert write(tmp_path / "a.mrcs") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mrcs"]
    with StackWriter(tmp_path / "b.mrcs", 7, 6, 2.0) as writer:
        writer.write(IMAGES)
    with mrcfile.open(tmp_path / "a.mrcs") as resumed, mrcfile.open(tmp_path / "b.mrcs") as whole:
        np.testing.assert_array_equal(resumed.data, whole.data)
        for name in ("dmin", "dmax", "dmean", "rms", "nz"):
            np.testing.assert_allclose(resumed.header[name], whole.header[name], rtol=1e-6)


def test_a_torn_block_is_written_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mrcs", stop=4)
    with (tmp_path / "a.mrcs.part").open("r+b") as part:  # a block that the journal does not know
        part.seek(1024 + 4 * 36 * 4)
        part.write(b"\xff" * 200)
    write(tmp_path / "a.mrcs")
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "a.mrcs"), IMAGES)


def test_a_stack_of_another_size_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mrcs", stop=4)
    assert write(tmp_path / "a.mrcs", images=IMAGES[:5]) == 0
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "a.mrcs"), IMAGES[:5])


def attempt(out: Path, identity: str, stop: int | None = None) -> int:
    with resumable(out, identity) as folder:
        return write(folder / "a.mrcs", stop)


def test_a_folder_goes_on_only_as_what_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        attempt(out, "one", stop=4)
    assert not out.exists()
    with pytest.raises(KeyboardInterrupt):
        attempt(out, "two", stop=2)
    assert attempt(out, "two") == 2
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "a.mrcs"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_left_where_nothing_was_done(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no"), resumable(tmp_path / "out", "one"):
        raise InputError("no")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    with (tmp_path / ".out.unfinished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process"):
            attempt(tmp_path / "out", "one")
