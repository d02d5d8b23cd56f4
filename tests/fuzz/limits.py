"""How long a mutated file may occupy a reader, and how much memory it may take."""

from __future__ import annotations

import faulthandler
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20
MEGABYTES = 500


class Hung(BaseException):
    """Raised in what takes too long; no `except Exception` catches it."""


def private_memory() -> float:
    """Return RssAnon of this process in MB: mapped files do not count."""
    found = re.search(r"RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def _stop(*_: object) -> None:
    raise Hung(f"it took more than {SECONDS} s")


@contextmanager
def limited() -> Iterator[None]:
    """Stop the block after 20 s, and fail if it ever held 500 MB more than before it."""
    before = private_memory()
    highest = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest.append(max(highest.pop(), private_memory()))

    watcher = threading.Thread(target=watch, daemon=True)
    old = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(
        3 * SECONDS, exit=True, file=sys.__stderr__
    )  # where compiled code hangs no signal helps
    watcher.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        faulthandler.cancel_dump_traceback_later()
        done.set()
        watcher.join()
    taken = max(*highest, private_memory()) - before
    assert taken <= MEGABYTES, f"{taken:.0f} MB were taken"
