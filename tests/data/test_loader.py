"""The stream of batches: complete, shuffled by (seed, epoch), shared to processes, continued exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.data.dataset import Pair
from cryoalign.data.loader import StreamLoader, StreamSampler

ROWS = np.arange(100, 123)


class Keys:
    """Batches that hold nothing but the keys that they were asked for."""

    def batch(self, keys: list[tuple[int, int]]) -> Pair:
        images = torch.zeros(len(keys), 1, 2, 2)
        return {"sim": images, "raw": images, "index": torch.tensor(keys), "metadata": {}}


def stream(batches: int = 20, **options: int) -> StreamSampler:
    return StreamSampler(ROWS, 4, batches, **{"seed": 7, **options})


def test_each_pass_gives_distinct_rows_in_a_new_order() -> None:
    batches = list(stream())
    per_epoch = len(ROWS) // 4
    first, second = (
        [row for batch in batches[start : start + per_epoch] for _, row in batch] for start in (0, per_epoch)
    )
    assert len(set(first)) == len(first) == per_epoch * 4
    assert set(first) <= set(ROWS.tolist())
    assert first != second
    assert {epoch for epoch, _ in batches[0]} == {0}
    assert {epoch for epoch, _ in batches[per_epoch]} == {1}


def test_order_depends_on_the_seed_alone() -> None:
    assert list(stream()) == list(stream())
    assert list(stream()) != list(stream(seed=8))


def test_processes_share_each_batch() -> None:
    whole = list(StreamSampler(ROWS, 4, 5, seed=7))
    parts = [list(StreamSampler(ROWS, 2, 5, seed=7, rank=rank, world_size=2)) for rank in range(2)]
    for batch, one, two in zip(whole, *parts, strict=True):
        assert sorted(batch) == sorted(one + two)


def test_fewer_rows_than_a_batch() -> None:
    sampler = StreamSampler(ROWS[:3], 8, 2, seed=0)
    assert [sorted(row for _, row in batch) for batch in sampler] == [[100, 101, 102]] * 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("given", [1, 5, 8])
def test_continues_where_it_stopped(workers: int, given: int) -> None:
    def loader() -> StreamLoader:
        return StreamLoader(Keys(), stream(12), num_workers=workers)  # type: ignore[arg-type]

    whole = [batch["index"].tolist() for batch in loader()]
    interrupted = loader()
    iterator = iter(interrupted)
    for _ in range(given):
        next(iterator)
    state = interrupted.state_dict()
    assert state["batches"] == given  # not what workers have read ahead
    del iterator
    continued = loader()
    continued.load_state_dict(state)
    assert [batch["index"].tolist() for batch in continued] == whole[given:]


def test_another_batch_size_cannot_continue() -> None:
    loader = StreamLoader(Keys(), stream())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        loader.load_state_dict({"batches": 3, "batch_size": 8, "world_size": 1})
