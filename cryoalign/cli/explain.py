"""What a user can do about an error."""

from __future__ import annotations

import errno

from hydra.errors import InstantiationException
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cryoalign.errors import InputError


def explain(error: BaseException) -> str | None:
    """Return what the user can do about an error, or None where it is our own fault."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for known in (InputError, OSError, OmegaConfBaseException, InstantiationException):
        for link in chain:  # Hydra's instantiate wraps what a constructor raises
            if isinstance(link, known) and (message := _message(link)) is not None:
                return message
    return None


def _message(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        place = error.filename or "output"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"{place}: no room left on the disk\n  remedy: free some space or choose another folder"
        if isinstance(error, PermissionError):
            return f"{place}: permission denied\n  remedy: choose a folder you may read and write"
        return None
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        name = str(error).splitlines()[0].rpartition(": ")[2]
        return f"{name} has no default and was not given\n  remedy: give it as {name}=VALUE"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{str(error).splitlines()[0].rstrip(':')}\n  found: {error.__cause__}"
    text = str(error)
    return text if isinstance(error, InputError) else text.splitlines()[0]
