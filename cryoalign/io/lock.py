"""A lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

_WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_HELD = frozenset({errno.EACCES, errno.EAGAIN})
_PAUSE = 0.05  # s between two attempts


@dataclass(frozen=True)
class Lock:
    """A lock that is held.

    Attributes
    ----------
    descriptor : int
        Of its file.
    shared : bool
        Whether others may hold it, too.
    """

    descriptor: int
    shared: bool

    def is_mine_alone(self) -> bool:
        """Return whether no other process holds the lock, at this moment."""
        if not self.shared:
            return True
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in _WITHOUT_LOCKS
        fcntl.lockf(self.descriptor, fcntl.LOCK_SH)
        return True


@contextmanager
def locked(path: Path, busy: InputError, *, shared: bool = False, patience: float = 0.0) -> Iterator[Lock]:
    """Hold a lock on a file while the block runs.

    The lock is POSIX's of `fcntl`: it ends with the process, however that ends, and workers that the process
    forked do not keep it. The file is made where it is missing, never written, and removed with the block, or
    with the last of the blocks that share it.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    busy : InputError
        Raised while another process holds the lock.
    shared : bool
        Hold it together with all that share it.
    patience : float
        Seconds to wait for it.

    Yields
    ------
    Lock

    Raises
    ------
    InputError
        `busy`, or if something stands there that is no lock: a link, a file with content.
    OSError
        If the file cannot be made.
    """
    descriptor = _open_and_lock(path, busy, shared=shared, until=time.monotonic() + patience)
    try:
        yield Lock(descriptor, shared)
    finally:
        _let_go(descriptor, path, shared=shared)


def _let_go(descriptor: int, path: Path, *, shared: bool) -> None:
    try:
        if shared:  # whoever is the last takes the file away
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)  # while it is held: what comes later makes a file of its own
    except OSError as error:
        if not shared or error.errno not in {*_HELD, *_WITHOUT_LOCKS}:
            raise
    finally:
        os.close(descriptor)


def _open_and_lock(path: Path, busy: InputError, *, shared: bool, until: float) -> int:
    """Return the descriptor of a file that is locked and still stands at `path`."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = _opened(path)
        try:
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                _log.warning("%s: this file system has no locks; let no other process write there", path)
                return descriptor
            os.close(descriptor)
            if error.errno not in _HELD:
                raise
            if time.monotonic() >= until:
                raise busy from error
            time.sleep(_PAUSE)
            continue
        try:  # the holder before may have removed the file after it was opened here
            if os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a lock's file; refuse what is none, and change nothing in it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if path.is_symlink() or path.is_dir():
            raise _not_a_lock(path) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        os.close(descriptor)
        raise _not_a_lock(path)
    return descriptor


def _not_a_lock(path: Path) -> InputError:
    return InputError(
        "this stands where the lock of an output has to be",
        file=path,
        expected="nothing, or an empty file",
        remedy="move it away, or choose another folder for the output",
    )
