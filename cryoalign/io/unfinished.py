"""Outputs that go on where an attempt before them was stopped, by one process or by several jobs at once.

They are filled in the folder ``.NAME.unfinished`` beside their place. A process that makes the whole holds
the lock of the output alone. Jobs that make some files each share it, so that the whole is published only
when none of them runs; a lock of each file's keeps two of them from writing the same one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError
from cryoalign.io.lock import locked
from cryoalign.io.output import NO_ROOM, absolute, busy_error, claimed, lock_file, place_error, publish, sync
from cryoalign.io.ownership import MARKER, check_free, identity_of, is_empty, is_marked, job_of, mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryoalign.io.lock import Lock

_log = logging.getLogger(__name__)

NOTE = "provenance.json"
"""What an output may hold before its first image."""
_AGREED = ("batch_size",)
"""Settings that decide no more than the last digit: of one output all shards have the same."""
_PATIENCE, _LONG = 5.0, 60.0  # s: for a job that is leaving, and for one that is entering


def unfinished(out: Path) -> Path:
    """Return the folder in which an output is filled."""
    return out.with_name(f".{out.name}.unfinished")


@contextmanager
def resumable(
    out: Path,
    identity: str,
    overwrite: bool = False,
    inputs: Sequence[Path] = (),
    *,
    merging: bool = False,
) -> Iterator[Path]:
    """Fill a folder as `staged` does, but keep what was done when it fails, for the next attempt.

    Nothing is kept where a row of an input is refused: of another input nothing could be continued.

    Parameters
    ----------
    out : Path
        The folder to make.
    identity : str
        All that decides the output. Only an attempt of the same identity continues an earlier one; what
        another left is removed.
    overwrite, inputs
        As in `staged`.
    merging : bool
        Of what `shared` made, which is never removed: refuse what another identity left.

    Yields
    ------
    Path
        The folder ``.NAME.unfinished`` beside `out`; what it holds already comes from an earlier attempt.

    Raises
    ------
    InputError
        As in `staged`, and if something else has the name of that folder.
    """
    out = absolute(out)
    folder = unfinished(out)
    with claimed(out, overwrite, inputs):
        try:
            _enter(folder, identity, merging=merging)
        except OSError as error:
            raise place_error(out, error) from error
        try:
            yield folder
            check_free(out, overwrite, inputs)
            publish(folder, out, identity)
        except BaseException as error:
            at_fault = isinstance(error, InputError) and error.row is not None
            _keep_or_remove(folder, at_fault=at_fault and not merging)
            if isinstance(error, OSError) and (isinstance(error, PermissionError) or error.errno in NO_ROOM):
                raise place_error(out, error) from error
            raise


@contextmanager
def shared(
    out: Path,
    identity: str,
    job: Mapping[str, object],
    overwrite: bool = False,
    inputs: Sequence[Path] = (),
) -> Iterator[Path]:
    """Fill some files of an output, while other jobs fill others; `resumable` makes the whole of them.

    What was done is kept, also where this job fails.

    Parameters
    ----------
    out : Path
        The folder that they are to become.
    identity : str
        All that decides the output, whichever files of it this job makes.
    job : mapping
        How the whole is made of the files; for JSON, and the same for all jobs.
    overwrite, inputs
        As in `resumable`.

    Yields
    ------
    Path
        The folder ``.NAME.unfinished``, which other jobs use at the same time.

    Raises
    ------
    InputError
        As in `resumable`, and where files of another identity are there.
    """
    out = absolute(out)
    folder = unfinished(out)
    entry, slow = folder.with_name(f"{folder.name}.entry.lock"), _busy_entry(out)
    check_free(out, overwrite, inputs)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_file(out), busy_error(out), shared=True, patience=_PATIENCE) as lock:
            with locked(entry, slow, patience=_LONG):
                check_free(out, overwrite, inputs)  # meanwhile somebody may have published it
                _join(folder, identity, job, lock)
            try:
                yield folder
            except BaseException:
                with locked(entry, slow, patience=_LONG):
                    if lock.is_mine_alone() and folder.is_dir() and _is_bare(folder):
                        shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno in NO_ROOM or not folder.is_dir():
            raise place_error(out, error) from error
        raise


def _busy_entry(out: Path) -> InputError:
    return InputError(
        "another job has been entering this output for a minute",
        file=out,
        remedy="give the same command again; does the disk answer?",
    )


def _join(folder: Path, identity: str, job: Mapping[str, object], lock: Lock) -> None:
    """Make the folder, or join those that fill it; one in which there is nothing yet is made anew."""
    if folder.is_symlink() or folder.exists():
        if is_marked(folder) and identity_of(folder) == identity:
            first = job_of(folder)
            if first is None:  # begun by a process that was to make the whole
                mark(folder, identity=identity, job=job, finished=False)
            elif any(_setting(first, name) != _setting(job, name) for name in _AGREED):
                raise _other_settings(folder, job)
            return
        if not (is_empty(folder) or is_marked(folder)):
            raise _not_ours(folder)
        if not (is_empty(folder) or _is_bare(folder)) or not lock.is_mine_alone():
            raise _other_settings(folder, job)
        shutil.rmtree(folder)
    folder.mkdir()
    mark(folder, identity=identity, job=job, finished=False)
    sync(folder)


def _setting(job: Mapping[str, object], name: str) -> object:
    """Return a setting of a command, None where it has none of that name."""
    config = job.get("config")
    return config.get(name) if isinstance(config, Mapping) else None


def _other_settings(folder: Path, job: Mapping[str, object] | None = None) -> InputError:
    first = job_of(folder) or {}
    there = flatten(first.get("config", {}))
    here = flatten((job or first).get("config", {}))
    differ = [f"{key}: {there.get(key)}, now {here[key]}" for key in here if here[key] != there.get(key)]
    same = "the same settings, so that a file that they read has changed since"
    return InputError(
        "the files that are there were made with other settings or inputs",
        file=folder,
        found=("; ".join(differ) or same) if first else None,
        remedy="give the settings and inputs of the other shards, choose another folder for the output, or "
        "remove this one",
    )


def _not_ours(folder: Path) -> InputError:
    return InputError(
        "this stands where an unfinished output has to be, and cryoalign did not write it",
        file=folder,
        remedy="move it away, or choose another folder for the output",
    )


def _is_bare(folder: Path) -> bool:
    """Return whether nothing is in a folder that could be gone on with."""
    return all(path.name.startswith(".") or path.name == NOTE for path in folder.iterdir())


def _enter(folder: Path, identity: str, *, merging: bool) -> None:
    """Take over what an attempt of this identity left, or make the folder."""
    if folder.is_symlink() or folder.exists():
        empty = is_empty(folder)
        if not (empty or is_marked(folder)):
            raise _not_ours(folder)
        if identity_of(folder) == identity:
            _remove_cut_off(folder)
            return
        if merging:
            raise _other_settings(folder)
        if not empty:
            _log.warning("starting anew: what %s holds was made with other settings or inputs", folder)
        shutil.rmtree(folder)
    folder.mkdir()
    mark(folder, identity=identity, finished=False)
    sync(folder)


def _remove_cut_off(folder: Path) -> None:
    """Remove the hidden places of files whose writing was cut off."""
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name != MARKER:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _keep_or_remove(folder: Path, at_fault: bool) -> None:
    """Keep what the next attempt can continue: nothing where a row of an input has to change first."""
    if not folder.is_dir():
        return
    _remove_cut_off(folder)
    removed = not is_marked(folder)  # meanwhile; what is here was written since
    if removed or at_fault or _is_bare(folder):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _log.info("what was made is kept; the same command given again goes on")
