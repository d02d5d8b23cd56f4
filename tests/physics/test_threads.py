"""Work that is done side by side: in order, on one thread each, a few items ahead, and with its errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from cryoalign.physics.threads import one_thread_each, side_by_side


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def square(item: int) -> int:
        time.sleep(0.01 * (item % 3 == 0))  # every third ends later
        return item**2

    assert list(side_by_side(square, range(20), threads)) == [item**2 for item in range(20)]
    assert torch.get_num_threads() == 3


def test_two_work_at_once_with_one_thread_each() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def meet(_: int) -> int:
        meeting.wait()  # breaks, and raises, where one works alone
        return torch.get_num_threads()

    assert list(side_by_side(meet, range(4), 2)) == [1] * 4
    assert torch.get_num_threads() == 3


def test_items_are_made_only_a_few_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    results = side_by_side(lambda item: item, items(), 2)
    for asked in range(1, 101):
        next(results)
        assert len(made) <= min(asked + 2, 100)


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_arrive(threads: int) -> None:
    def halve(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(halve, (2, 1, 0, 3), threads))
    assert torch.get_num_threads() == 3


def test_operations_get_one_thread() -> None:
    with one_thread_each():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
