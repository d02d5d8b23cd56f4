"""An error that nobody foresaw, as one line that can be reported; and when tracebacks are shown."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import cryoalign
from cryoalign.reading import file_being_read, first_line

FAULT = 70
"""Exit code of a fault of cryoalign: EX_SOFTWARE of sysexits.h."""

#: Shows the traceback of every error, also of those that the input caused. Hydra's own switch does it, too.
_DEBUG, _HYDRAS = "CRYOALIGN_DEBUG", "HYDRA_FULL_ERROR"


def shows_traceback(hydras: str | None) -> bool:
    """Return whether the user asks for tracebacks.

    Parameters
    ----------
    hydras : str or None
        What the user has set as ``HYDRA_FULL_ERROR``.
    """
    return "1" in (os.environ.get(_DEBUG), hydras)


def fault_text(error: BaseException, command: str) -> str:
    """Return one line that names the fault, the file or the command, its place in the code, and what to do.

    Parameters
    ----------
    error : exception
    command : str
        Named where no file is known.
    """
    file = file_being_read(error)
    doing = f"reading {file}" if file else f"running cryoalign {command}"
    said = type(error).__name__ + (f": {first_line(error)}" if str(error).strip() else "")
    return (
        f"fault of cryoalign while {doing} ({said}{_place(error)}); report it to its authors, please, with "
        f"what the same command prints with {_DEBUG}=1 before it"
    )


def _place(error: BaseException) -> str:
    """Return the last line of our own code that the error came through."""
    package = Path(cryoalign.__file__).parent
    ours = [
        f", {Path(frame.filename).relative_to(package.parent)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(package)
    ]
    return ours[-1] if ours else ""
