"""Outputs that go on where an attempt before them was stopped."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryoalign.errors import InputError
from cryoalign.io.output import NO_ROOM, absolute, claimed, place_error, publish, sync
from cryoalign.io.ownership import MARKER, check_free, identity_of, is_empty, is_marked, mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)


@contextmanager
def resumable(
    out: Path, identity: str, overwrite: bool = False, inputs: Sequence[Path] = ()
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
    folder = out.with_name(f".{out.name}.unfinished")
    with claimed(out, overwrite, inputs):
        try:
            _enter(folder, identity)
        except OSError as error:
            raise place_error(out, error) from error
        try:
            yield folder
            check_free(out, overwrite, inputs)
            publish(folder, out, identity)
        except BaseException as error:
            _keep_or_remove(folder, at_fault=isinstance(error, InputError) and error.row is not None)
            if isinstance(error, OSError) and (isinstance(error, PermissionError) or error.errno in NO_ROOM):
                raise place_error(out, error) from error
            raise


def _enter(folder: Path, identity: str) -> None:
    """Take over what an attempt of this identity left, or make the folder."""
    if folder.is_symlink() or folder.exists():
        empty = is_empty(folder)
        if not (empty or is_marked(folder)):
            raise InputError(
                "this stands where an unfinished output has to be, and cryoalign did not write it",
                file=folder,
                remedy="move it away, or choose another folder for the output",
            )
        if identity_of(folder) == identity:
            _remove_cut_off(folder)
            return
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
    if removed or at_fault or [path.name for path in folder.iterdir()] == [MARKER]:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _log.info("what was made is kept; the same command given again goes on")
