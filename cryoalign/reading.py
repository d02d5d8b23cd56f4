"""What may go wrong while a file is read: damage is refused, what nobody foresaw keeps the name of the file.

A reader refuses what it knows to be wrong with an `InputError` of its own. Around it stands `reading`, for
what the libraries beneath make of damaged bytes.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
_NOTE = "while reading "


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file in whatever the block raises.

    An error of the operating system and one that only damaged content causes (no UTF-8, cut JSON or CSV, a
    damaged archive, nested without end) become an `InputError`. Anything else is a fault of the reader: it is
    raised as it is, with a note that `file_being_read` finds. Blocks may be nested; the innermost is named.

    Parameters
    ----------
    path : Path
        The file that is read in the block, where nothing else is done.

    Raises
    ------
    InputError
        If the file cannot be read, or its content is damaged.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(
                "the file cannot be read",
                file=error.filename or path,
                expected="a file that may be read",
                found=error.strerror,
                remedy="look at its permissions and its disk, or copy it",
            ) from error
        if isinstance(error, _damages()):
            raise InputError(
                "the content of this file is damaged, or of another kind",
                file=path,
                found=first_line(error),
                remedy="copy or write the file again",
            ) from error
        if file_being_read(error) is None:
            error.add_note(f"{_NOTE}{path}")
        raise


def reads_file(reader: Callable[[Path], _T]) -> Callable[[Path], _T]:
    """Put the body of a function of one file within `reading`."""

    @functools.wraps(reader)
    def read(path: Path) -> _T:
        with reading(path):
            return reader(path)

    return read


def file_being_read(error: BaseException) -> str | None:
    """Return the file in whose reading an error arose that nobody foresaw, None where it is not known."""
    notes: list[str] = getattr(error, "__notes__", [])
    return next((note.removeprefix(_NOTE) for note in notes if note.startswith(_NOTE)), None)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _damages() -> tuple[type[Exception], ...]:
    """Return the errors that libraries raise for damaged content alone; imported once there was one."""
    import csv  # noqa: PLC0415
    import gzip  # noqa: PLC0415
    import json  # noqa: PLC0415
    import pickle  # noqa: PLC0415
    import tokenize  # noqa: PLC0415
    import zipfile  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    return (
        UnicodeError, json.JSONDecodeError, csv.Error, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile,
        pickle.UnpicklingError, tokenize.TokenError, EOFError, RecursionError, OverflowError,
    )  # fmt: skip
