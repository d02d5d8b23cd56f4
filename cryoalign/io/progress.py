"""The progress bar of every command, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


def progress_bar(items: Iterable[T], label: str, *, shown: bool, total: int | None = None) -> Iterable[T]:
    """Yield the items, and show how far the work has come.

    On a terminal the bar is gone when the work is done; in a log file one line stays.

    Parameters
    ----------
    items : iterable
    label : str
        What is being done, e.g. ``simulating``.
    shown : bool
        Without it the items pass through and nothing is printed.
    total : int, optional
        Number of items, where they have no length.
    """
    if not shown:
        return items
    from rich.console import Console  # noqa: PLC0415  a tenth of a second, for which jobs of a cluster need not wait
    from rich.progress import track  # noqa: PLC0415

    console = Console(stderr=True)
    return track(items, label, total=total, console=console, transient=console.is_terminal)
