from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.mrc import StackWriter
from cryoalign.io.output import staged
from cryoalign.io.ownership import MARKER
from cryoalign.io.unfinished import resumable

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
        raise InputError("no", remedy="no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "\0\0\0", "{}", "null", '{"count": 7, "box": 6, "images": 9}', "[" * 99999]
)
def test_a_journal_that_a_power_cut_spoiled(tmp_path: Path, content: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mrcs", stop=4)
    (tmp_path / "a.mrcs.part.json").write_text(content)
    assert write(tmp_path / "a.mrcs") == 0
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "a.mrcs"), IMAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mrcs"]


def test_a_journal_of_more_than_the_file_holds(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mrcs", stop=4)
    with (tmp_path / "a.mrcs.part").open("r+b") as part:
        part.truncate(2000)
    assert write(tmp_path / "a.mrcs") == 0
    np.testing.assert_array_equal(mrcfile.read(tmp_path / "a.mrcs"), IMAGES)


def failed_behind_the_stack(out: Path, error: BaseException) -> None:
    with resumable(out, "one") as folder:
        write(folder / "a.mrcs")
        (folder / ".a.12345678").mkdir()  # of a STAR file that was cut off
        raise error


def test_a_row_that_has_to_change_leaves_nothing_to_go_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def fill(folder: Path) -> None:
        (folder / "half").touch()
        raise InputError("no image", file="a.star", row=3, expected=1, found=2, remedy="no")

    with pytest.raises(InputError, match="row 3"), resumable(tmp_path / "out", "one") as place:
        fill(place)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    assert "goes on" not in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_finished_stack_outlives_what_comes_after_it(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    with pytest.raises((KeyboardInterrupt, InputError)):
        failed_behind_the_stack(out, error)
    assert not out.exists()
    assert attempt(out, "one") == len(IMAGES)
    np.testing.assert_array_equal(mrcfile.read(out / "a.mrcs"), IMAGES)
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "a.mrcs"]


@pytest.mark.parametrize("kind", ["folder", "identity", "file", "link", "marked link"])
def test_what_somebody_else_has_in_its_place_stays(tmp_path: Path, kind: str) -> None:
    place, theirs = tmp_path / ".out.unfinished", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ("identity" if kind == "identity" else "thesis.tex")).write_text("10 years")
    if kind == "marked link":
        (theirs / MARKER).write_text('{"about": "another program"}')
    if kind == "file":
        place.write_text("10 years")
    elif "link" in kind:
        place.symlink_to(theirs)
    else:
        theirs.rename(place)
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"unfinished: this stands where(.|\n)*move it away"):
        attempt(tmp_path / "out", "one")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["link", "dangling link", "file", "folder"])
def test_a_lock_changes_nothing_of_somebody_else(tmp_path: Path, kind: str) -> None:
    lock, theirs = tmp_path / ".out.unfinished.lock", tmp_path / "theirs"
    if kind != "dangling link":
        theirs.write_text("10 years")
    if "link" in kind:
        lock.symlink_to(theirs)
    elif kind == "file":
        theirs.rename(lock)
    else:
        lock.mkdir()
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"lock: this stands where(.|\n)*move it away"):
        attempt(tmp_path / "out", "one")
    assert tree(tmp_path) == before
    assert not (kind == "dangling link" and theirs.exists())


HOLDS = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / ".out.unfinished.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process"):
            attempt(tmp_path / "out", "one")
        with pytest.raises(InputError, match="another process"), staged(tmp_path / "out"):
            pytest.fail("the block must not be entered")
        other.kill()
    assert attempt(tmp_path / "out", "one") == 0  # the lock went with its process
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def tree(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() if path.is_file() else "" for path in folder.rglob("*")}
