"""What a user can do about an error."""

from __future__ import annotations

import errno
import os

from hydra.errors import InstantiationException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cryoalign.cli.paths import not_given
from cryoalign.errors import InputError
from cryoalign.reading import first_line

#: What the operating system may refuse through no fault of ours, and the remedy.
_FULL = "free some space or choose another folder"
_ELSEWHERE = "choose a folder you may read and write"
_GONE = "was it moved or removed while the command ran? Give the command again"
_REFUSALS = {
    errno.ENOSPC: ("no room left on the disk", _FULL),
    errno.EDQUOT: ("no room left on the disk", _FULL),
    errno.EFBIG: ("the file becomes larger than is allowed here", _FULL),
    errno.EACCES: ("permission denied", _ELSEWHERE),
    errno.EPERM: ("permission denied", _ELSEWHERE),
    errno.EROFS: ("this file system is read-only", _ELSEWHERE),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.ELOOP: ("links that lead round in a circle", "name the file itself"),
    errno.ENOENT: ("there is no such file or folder", _GONE),
    errno.ENOTDIR: ("a file stands where a folder has to be", "move it away, or choose another folder"),
    errno.EISDIR: ("a folder stands where a file has to be", "move it away, or choose another name"),
    errno.ESTALE: ("the file is no longer there", _GONE),
    errno.EIO: ("the disk cannot be read or written", "try another disk"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n), or use fewer workers"),
    errno.ENFILE: ("too many files are open", "close other programs"),
    errno.ENOMEM: ("not enough memory", "use smaller batches or fewer workers"),
}
#: What torch says of the memory of a CPU.
_NO_MEMORY = ("can't allocate memory", "Storage size calculation overflowed")
_WHEREVER = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS})
"""Those that explain an error which a library raised while it handled them."""


def explain(error: BaseException) -> str | None:
    """Return what the user can do about an error, or None where it is our own fault."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for known in (InputError, OSError, MemoryError, OmegaConfBaseException, InstantiationException):
        for link in chain:  # Hydra's instantiate wraps what a constructor raises
            if isinstance(link, known) and (message := _message(link, outermost=link is error)) is not None:
                return message
    no_memory = isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
    if no_memory or type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for it
        where = "" if no_memory else " on the device"
        return (
            f"not enough memory{where}\n  found: {first_line(error)}\n  remedy: use smaller batches or boxes"
        )
    return None


def _message(error: BaseException, *, outermost: bool) -> str | None:
    if isinstance(error, OSError):
        if error.errno not in _REFUSALS or not (outermost or error.errno in _WHEREVER):
            return None
        problem, remedy = _REFUSALS[error.errno]
        found = f"\n  found: {error.strerror}" if error.filename is None else ""
        name = error.filename or "output"
        name = os.fsdecode(name) if isinstance(name, bytes) else name
        return f"{name}: {problem}{found}\n  remedy: {remedy}"
    if isinstance(error, MemoryError):
        return f"not enough memory\n  found: {first_line(error)}\n  remedy: use smaller batches or maps"
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        name = str(error).splitlines()[0].rpartition(": ")[2]
        return str(not_given(name))
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and error.full_key:
        remedy = f"leave ~{error.full_key} out, or give {error.full_key}=VALUE"
        error = InputError(f"{error.full_key} is needed and was taken away", remedy=remedy)
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{str(error).splitlines()[0].rstrip(':')}\n  found: {error.__cause__}"
    text = str(error)
    return text if isinstance(error, InputError) else text.splitlines()[0]
