"""Lightning without the announcements that a user can do nothing about."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-untyped]
    _AsyncWriterThread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Lightning announces every device it did not find.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: Warnings of Lightning's that are of no use here.
_KNOWN = (
    ".*does not have many workers.*",  # 0 is right for most data sets; data.workers is there for the others
    ".*Checkpoint directory .* exists and is not empty.*",  # so it is in a continued run
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",  # between Lightning and torch
    "Using ModelCheckpoint with manual optimization.*",  # the state after the update is the one wanted
    ".*`broadcast_buffers` is deprecated.*",  # its successor is not in every torch that is supported
    ".*smaller than the logging interval.*",  # the system decides what is logged
)


@contextmanager
def without_known_warnings() -> Iterator[None]:
    """Leave out warnings that a user can do nothing about, and tracebacks of what is said again."""
    report = threading.excepthook
    threading.excepthook = partial(_unless_raised_again, report)
    try:
        with warnings.catch_warnings():
            for message in _KNOWN:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        threading.excepthook = report


def _unless_raised_again(
    report: Callable[[threading.ExceptHookArgs], object], found: threading.ExceptHookArgs
) -> None:
    """Report what ended a thread, but for TensorBoard's: its next row raises it in the training itself."""
    if not (issubclass(found.exc_type, OSError) and isinstance(found.thread, _AsyncWriterThread)):
        report(found)
