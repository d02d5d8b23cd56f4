"""Outputs are there whole or not at all, and nothing of another's is lost."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.output import MARKER, atomic_write, staged

if TYPE_CHECKING:
    from pathlib import Path


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
    (out / "old.txt").touch()
    with pytest.raises(RuntimeError), staged(out, overwrite=True):
        raise RuntimeError
    assert (out / "a.txt").read_text() == "1"
    _make(out, "2", overwrite=True)
    assert (out / "a.txt").read_text() == "2"
    assert not (out / "old.txt").exists()
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
