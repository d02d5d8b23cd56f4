"""Outputs are there whole or not at all, and nothing of another's is lost."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cryoalign.errors import InputError
from cryoalign.io import output
from cryoalign.io.output import atomic_write, clear_parts, staged
from cryoalign.io.ownership import MARKER


def _make(out: Path, text: str, error: BaseException | None = None, **options: object) -> None:
    with staged(out, **options) as folder:
        (folder / "a.txt").write_text(text)
        assert folder.parent == out.parent
        if error is not None:
            raise error


def _make_file(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_write(path) as temporary:
        assert temporary.suffix == path.suffix
        temporary.write_text(text)
        if error is not None:
            raise error


def test_staged_appears_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staged(out) as folder:
        (folder / "a.txt").write_text("1")
        assert not out.exists()
    assert {path.name for path in out.iterdir()} == {MARKER, "a.txt"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755


def test_staged_leaves_nothing_on_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path / "out", "1", KeyboardInterrupt())
    assert not list(tmp_path.iterdir())


def test_existing_output_is_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    with pytest.raises(InputError, match=r"exists already(.|\n)*overwrite=true"):
        _make(out, "2")
    assert (out / "a.txt").read_text() == "1"


def test_overwrite_replaces_only_its_own_and_only_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    with pytest.raises(RuntimeError), staged(out, overwrite=True):
        raise RuntimeError
    assert (out / "a.txt").read_text() == "1"
    _make(out, "2", overwrite=True)
    assert (out / "a.txt").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_overwrite_does_not_replace_what_is_not_its_own(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("10 years")
    elif kind == "file":
        out.write_text("10 years")
    else:
        _make(tmp_path / "elsewhere", "1")
        out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="did not write it"):
        _make(out, "2", overwrite=True)
    assert out.exists()


def test_output_that_holds_an_input_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    for source in (out / "a.txt", out):
        with pytest.raises(InputError, match="holds an input"):
            _make(out, "2", overwrite=True, inputs=[source])
    _make(out, "2", overwrite=True, inputs=[tmp_path / "other.star"])


def test_overwrite_names_what_somebody_put_into_an_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    for foreign in ("deep/notes.txt", "deep", "b.txt"):  # in a folder; then the empty folder; a file
        if foreign != "deep":
            (out / foreign).parent.mkdir(exist_ok=True)
            (out / foreign).touch()
        with pytest.raises(InputError, match=f"did not write there(.|\n)*out/{foreign}"):
            _make(out, "2", overwrite=True)
        assert (out / "a.txt").read_text() == "1"
        (out / foreign).rmdir() if foreign == "deep" else (out / foreign).unlink()
    _make(out, "2", overwrite=True)
    for marker in ("", "{}", '{"files": 3}', "[" * 99999):  # emptied by a crash, or of another program
        (out / MARKER).write_text(marker)
        with pytest.raises(InputError, match="did not write it"):
            _make(out, "3", overwrite=True)
    assert (out / "a.txt").read_text() == "2"


@pytest.mark.parametrize("place", [".", "train/one"])
def test_overwrite_never_replaces_a_run_or_what_holds_one(tmp_path: Path, place: str) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    (out / place / "checkpoints").mkdir(parents=True)
    (out / place / "checkpoints" / "last.ckpt").write_text("weeks")
    (out / place / "config.yaml").touch()
    with pytest.raises(InputError, match="of a run"):
        _make(out, "2", overwrite=True)
    _make(out / place / "test", "2")
    _make(out / place / "test", "3", overwrite=True)  # what was found about a run is no run
    assert (out / place / "test" / "a.txt").read_text() == "3"
    assert (out / place / "checkpoints" / "last.ckpt").read_text() == "weeks"


def test_what_appears_while_a_folder_is_replaced_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if self == out:
            (out / "late.txt").write_text("just now")
        return rename(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", late)
        _make(out, "2", overwrite=True)
    (kept,) = tmp_path.glob(".out.old.*/out/late.txt")
    assert kept.read_text() == "just now"
    assert (out / "a.txt").read_text() == "2"
    assert "is kept in" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
from cryoalign.io import output, ownership
point, out = sys.argv[1], Path(sys.argv[2])
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
rename = Path.rename
if point == "while it replaces":
    Path.rename = lambda self, target: kill() if self != out else rename(self, target)
elif point == "before it removes the old":
    ownership._drop_old = kill
elif point == "at once":
    ownership.mark = kill
with output.staged(out, overwrite=True) as folder:
    (folder / "a.txt").write_text("2")
    if point == "while it writes":
        kill()
"""


@pytest.mark.parametrize(
    "point", ["at once", "while it writes", "while it replaces", "before it removes the old"]
)
def test_what_a_killed_process_left_is_cleared(tmp_path: Path, point: str) -> None:
    out = tmp_path / "out"
    _make(out, "1")
    names = [".out.new.thesis", ".out.new.abcdefgh", ".outer", ".out.old.abcdefgh", ".other.new.abcdefgh"]
    for name in names:  # of somebody else
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").touch()
    done = subprocess.run([sys.executable, "-c", KILLED, point, str(out)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) > len(names) + 1
    with pytest.raises(InputError, match="exists already"):
        _make(out, "3")  # whatever it was killed in, one of the two is there, whole
    assert (out / "a.txt").read_text() == ("2" if point == "before it removes the old" else "1")
    _make(out, "3", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "out"])
    assert (out / "a.txt").read_text() == "3"


def test_full_disk_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no room"), staged(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InputError, match="no room"), atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError):  # of something else: not the output's
        _make(tmp_path / "out", "1", PermissionError(errno.EACCES, "Permission denied"))
    assert not list(tmp_path.iterdir())


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        _make(tmp_path / "file" / "out", "1")
    with pytest.raises(InputError, match="cannot be written"), atomic_write(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not be entered")


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        _make_file(path, "half", RuntimeError())
    assert path.read_text() == "old"
    _make_file(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(InputError, match="a folder stands"), atomic_write(tmp_path):
        pytest.fail("the block must not be entered")


def test_what_a_killed_process_was_writing_is_cleared(tmp_path: Path) -> None:
    """The folder that a kill leaves is what `atomic_write` yields a path in."""
    with atomic_write(tmp_path / "table.csv") as path:
        path.write_text("1,2")
        shutil.copytree(path.parent, path.parent.with_name(f".another{path.parent.name}"))
    (tmp_path / ".mine").write_text("a user's")
    assert len(list(tmp_path.iterdir())) == 3
    clear_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "table.csv"]


def test_what_a_power_cut_could_empty_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files before the folder gets its name, and the name after."""
    moments: list[tuple[str, bool]] = []
    out = tmp_path / "out"
    whole = output.sync

    def noted(path: Path) -> None:
        moments.append((path.name, out.exists()))
        whole(path)

    monkeypatch.setattr(output, "sync", noted)
    with staged(out) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text("1")
    assert {("a.txt", False), ("deep", False), (MARKER, False), (tmp_path.name, True)} <= set(moments)
    moments.clear()
    with atomic_write(tmp_path / "b.txt") as path:
        path.write_text("2")
    assert moments[0][0] == path.name
    assert moments[-1][0] == tmp_path.name
