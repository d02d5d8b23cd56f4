"""SIGTERM, by which schedulers end a job, as an exit that clears away what is half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

_came = threading.Event()


class Terminated(SystemExit):
    """An exit on SIGTERM, with the code that shells and schedulers know: 143."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)

    def __reduce__(self) -> tuple[type[Terminated], tuple[()]]:
        """Come back from another process, where a launcher ran a job."""
        return type(self), ()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`, unless it means something else already.

    Raised in the middle of an import it may come out as an error of the library that was being imported:
    what ends the block behind a SIGTERM is an exit by it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    _came.clear()
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except BaseException:
        if is_terminated():
            raise Terminated from None
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def terminate(*_: object) -> NoReturn:
    """Exit because of a SIGTERM."""
    _came.set()
    raise Terminated


def is_terminated() -> bool:
    """Return whether there was a SIGTERM: what was raised since may have come of it."""
    return _came.is_set()
