"""Outputs that are there whole or not at all.

Everything is written beside its place and renamed into it at the end, so that a failure, a full disk or a
keyboard interrupt leaves nothing that looks like a result.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_log = logging.getLogger(__name__)

MARKER = ".cryoalign"
"""Name of the file by which a folder is known to be cryoalign's, and may be replaced."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says when a disk, a quota or a file system is full."""


def room_error(path: Path, needed: int | None = None) -> InputError:
    """Build the error for a disk without room.

    Parameters
    ----------
    path : Path
        The output that did not fit.
    needed : int, optional
        Its size in bytes.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    return InputError(
        "there is no room for this output",
        file=path,
        expected=None if needed is None else f"{needed:,} bytes",
        found=f"{free:,} bytes free on the disk of {folder}",
        remedy="free some space or choose another place for the output",
    )


def place_error(path: Path, error: OSError) -> InputError:
    """Build the error for a place in which no output can be made.

    Parameters
    ----------
    path : Path
        The output.
    error : OSError
        What was raised when it was made.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    if error.errno in NO_ROOM:
        return room_error(path)
    return InputError(
        "this output cannot be written",
        file=path,
        found=error.strerror,
        remedy="choose another place for the output",
    )


@contextmanager
def resumable(
    out: Path, identity: str, overwrite: bool = False, inputs: Sequence[Path] = ()
) -> Iterator[Path]:
    """Fill a folder as `staged` does, but keep what was done when it fails, for the next attempt.

    Parameters
    ----------
    out : Path
        The folder to make.
    identity : str
        All that decides the output. Only an attempt of the same identity continues an earlier one; what
        another left is removed.
    overwrite, inputs
        As in `staged`.

    Yields
    ------
    Path
        The folder ``.NAME.unfinished`` beside `out`; what it holds already comes from an earlier attempt.

    Raises
    ------
    InputError
        As in `staged`, and if another process is filling the folder at this moment.
    """
    out = Path(out).absolute()
    _check_free(out, overwrite, inputs)
    folder = out.with_name(f".{out.name}.unfinished")
    note = folder / "identity"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise place_error(out, error) from error
    try:
        with _locked(folder):
            if not (note.is_file() and note.read_text(encoding="utf-8") == identity):
                if folder.exists():
                    _log.warning("starting anew: what %s holds was made with other settings", folder)
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                note.write_text(identity, encoding="utf-8")
            try:
                yield folder
            except BaseException:
                if not any(folder.glob("*.part")):  # there is nothing to continue
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            _check_free(out, overwrite, inputs)
            note.unlink()
            _mark(folder)
            _replace(folder, out)
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno in NO_ROOM:
            raise place_error(out, error) from error
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a file next to `folder`; the lock ends with the process, the file with the block."""
    path = folder.with_name(f"{folder.name}.lock")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "another process is writing this output",
                file=folder.with_name(folder.name.removeprefix(".").removesuffix(".unfinished")),
                remedy="wait for it, or choose another folder for the output",
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _mark(folder: Path) -> None:
    """Mark a folder as written by cryoalign."""
    (folder / MARKER).write_text(
        "This folder was written by cryoalign, which may replace it on overwrite=true.\n"
    )


@contextmanager
def staged(out: Path, overwrite: bool = False, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """Fill a folder under another name and rename it into its place when all went well.

    Parameters
    ----------
    out : Path
        The folder to make.
    overwrite : bool
        Replace an existing folder, at the very end, if it is one that cryoalign wrote (it holds the file
        ``.cryoalign``) or is empty.
    inputs : sequence of Path
        Files that are being read: `out` must neither be one of them nor contain one.

    Yields
    ------
    Path
        A temporary folder beside `out`, removed on failure.

    Raises
    ------
    InputError
        If `out` exists and may not be replaced, holds an input, or the disk is full or not writable.
    """
    out = Path(out).absolute()
    _check_free(out, overwrite, inputs)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise place_error(out, error) from error
    try:
        temporary.chmod(0o755)  # mkdtemp's 0700 would lock colleagues out of the result
        _mark(temporary)
        yield temporary
        _check_free(out, overwrite, inputs)  # another process may have been faster
        _replace(temporary, out)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise room_error(out) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_free(out: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Refuse an `out` that would lose something."""
    place = out.resolve()
    for source in (Path(path).resolve() for path in inputs):
        if place == source or place in source.parents:
            raise InputError(
                "the output folder holds an input",
                file=out,
                found=source,
                remedy="choose another folder for the output",
            )
    if not (out.exists() or out.is_symlink()):
        return
    if not overwrite:
        raise InputError(
            "the output exists already",
            file=out,
            remedy="choose another folder, or overwrite=true to replace this one",
        )
    replaceable = (
        out.is_dir() and not out.is_symlink() and ((out / MARKER).is_file() or not any(out.iterdir()))
    )
    if not replaceable:
        raise InputError(
            "the output exists and cryoalign did not write it, so overwrite=true does not replace it",
            file=out,
            expected=f"a folder with the file {MARKER}",
            remedy="choose another folder, or remove this one by hand",
        )


def _replace(temporary: Path, out: Path) -> None:
    """Move `temporary` to `out`; what was there goes only after the new folder stands in its place."""
    if not out.exists():
        temporary.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.rename(old / out.name)
    try:
        temporary.rename(out)
    except OSError:
        (old / out.name).rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a single file under another name and rename it into its place when all went well.

    Parameters
    ----------
    path : Path
        The file to make or to replace. Its folder is made if it is missing.

    Yields
    ------
    Path
        A temporary path in the same folder and with the same suffix, removed on failure.

    Raises
    ------
    InputError
        If the disk is full, the place cannot be written, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            "a folder stands where a file is to be written", file=path, remedy="choose another name"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}.", dir=path.parent))
    except OSError as error:
        raise place_error(path, error) from error
    try:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise room_error(path) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
