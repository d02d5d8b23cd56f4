"""Outputs that are there whole or not at all.

Everything is written beside its place, synced to the disk and renamed into its place at the end, so that a
failure, a full disk, a keyboard interrupt or a power cut leaves nothing that looks like a result.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.errors import InputError
from cryoalign.io.lock import locked
from cryoalign.io.ownership import check_free, is_marked, left_behind, mark, replace, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says when a disk, a quota or a file system is full."""
PART = ".part"
"""End of the names of what is being written beside its place; they begin with a dot."""


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


def sync(path: Path) -> None:
    """Have the disk take a file, or the names in a folder, before what follows can count on it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EROFS}:  # a file system that syncs nothing
            raise
    finally:
        os.close(descriptor)


def publish(folder: Path, out: Path, identity: str | None = None) -> None:
    """List what is in a folder, sync it, and move it to its place.

    Parameters
    ----------
    folder : Path
        Filled, beside `out`.
    out : Path
        Its place; what `check_free` let pass there is replaced.
    identity : str, optional
        All that decides what is in it.

    Raises
    ------
    FileNotFoundError
        If the folder was removed meanwhile: what was written since is not the whole of it.
    """
    if not is_marked(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    mark(folder, identity=identity, finished=True)
    for place, _, files in os.walk(folder):
        for path in (Path(place) / name for name in files):
            if not path.is_symlink():
                sync(path)
        sync(Path(place))
    replace(folder, out)
    sync(out.parent)


def absolute(out: Path) -> Path:
    """Return the absolute path of an output.

    Parameters
    ----------
    out : Path

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it is the root of all folders, beside which nothing can be written.
    """
    place = Path(out).absolute()
    if not place.name:
        raise InputError(
            "this output cannot be written",
            file=place,
            expected="a new folder",
            found="the root of all folders",
            remedy="choose another place for the output",
        )
    return place


def lock_file(out: Path) -> Path:
    """Return the file whose lock is that of an output."""
    return out.with_name(f".{out.name}.unfinished.lock")


def busy_error(out: Path) -> InputError:
    """Build the error for what another process is writing."""
    return InputError(
        "another process is writing this output",
        file=out,
        remedy="wait for it, or choose another folder for the output",
    )


@contextmanager
def claimed(out: Path, overwrite: bool, inputs: Sequence[Path]) -> Iterator[None]:
    """Hold the lock of an output, once nothing is in its way.

    Parameters
    ----------
    out : Path
        The folder to make, as an absolute path.
    overwrite, inputs
        As in `staged`.

    Raises
    ------
    InputError
        As in `staged`.
    """
    check_free(out, overwrite, inputs)
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock_file(out), busy_error(out)))
            for folder in left_behind(out):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise place_error(out, error) from error
        check_free(out, overwrite, inputs)
        yield


@contextmanager
def staged(out: Path, overwrite: bool = False, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """Fill a folder under another name and rename it into its place when all went well.

    Parameters
    ----------
    out : Path
        The folder to make.
    overwrite : bool
        Replace an existing folder, at the very end, if it holds nothing but what cryoalign wrote there (its
        file ``.cryoalign`` lists it) or is empty.
    inputs : sequence of Path
        Files that are being read: `out` must neither be one of them nor contain one.

    Yields
    ------
    Path
        A temporary folder beside `out`, removed on failure; if the process is killed, by the next that
        writes to `out`.

    Raises
    ------
    InputError
        If `out` exists and may not be replaced, holds an input, another process is writing it, or the disk
        is full or not writable.
    """
    out = absolute(out)
    with claimed(out, overwrite, inputs):
        try:
            temporary = temporary_folder(out)
        except OSError as error:
            raise place_error(out, error) from error
        try:
            yield temporary
            check_free(out, overwrite, inputs)  # something may have appeared
            publish(temporary, out)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise room_error(out) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}.", suffix=PART, dir=path.parent))
    except OSError as error:
        raise place_error(path, error) from error
    try:
        temporary = folder / path.name
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise room_error(path) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_parts(folder: Path) -> None:
    """Remove what killed processes were writing in a folder, by `atomic_write` and alike.

    Parameters
    ----------
    folder : Path
        No other process is writing in it.
    """
    for part in folder.glob(f".*{PART}"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
