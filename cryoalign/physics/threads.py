"""Threads of a CPU that work side by side, each on different data.

torch lets all its threads work together on each operation. Those of the referee are small and many: the
threads mostly wait for each other, and with anything else running on the machine all wait for the slowest. So
an operation gets one thread here, and what is independent runs side by side.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    Item = TypeVar("Item")
    Result = TypeVar("Result")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let each operation of torch use one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Do the same with several items at a time.

    The items are made in the thread that asks for the results, and only a few ahead of them.

    Parameters
    ----------
    work : callable
        Takes an item.
    items : iterable
    threads : int
        How many work, each with one thread for an operation of torch. With 1 it is the thread that asks, as
        it is set.

    Yields
    ------
    object
        Results, in the order of the items.
    """
    if threads == 1:
        yield from map(work, items)
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # starting a thread has changed what those to come would get
