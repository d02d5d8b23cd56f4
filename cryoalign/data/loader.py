"""Batches in an order that depends on (seed, epoch) alone, and a loader that can be continued anywhere."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from cryoalign.data.packing import Packed, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoalign.data.dataset import Pair, PairedImages


def outlive_sigterm(_: int) -> None:
    """Have a loader's process leave SIGTERM to the training, which needs it to the end of its step.

    Schedulers send the signal to every process of a job.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@cache
def end_workers_at_exit() -> None:
    """Have the loaders' processes killed when this one ends: Python would send the signal they ignore."""
    atexit.register(_kill_workers)


def _kill_workers() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise an error for each
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()


class StreamSampler(Sampler[list[tuple[int, int]]]):
    """An unbroken stream of training batches, pass after pass over the data, each pass shuffled by (seed,
    epoch).

    Lightning sees the whole training as one epoch: there is no epoch's end at which a resumed run could
    differ. With several processes each takes its own part of every batch.

    Parameters
    ----------
    rows : (M,) int64
        Rows of the data set to draw from.
    batch_size : int
        Of one process.
    batches : int
        How many batches the stream has.
    seed : int
    rank, world_size : int
        Which of how many processes this is.

    Attributes
    ----------
    start : int
        Number of the first batch that an iterator gives. The order of the later ones does not depend on it.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        batches: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rows, self.batch_size, self.batches = rows, batch_size, batches
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.start = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one pass over the data; a last, smaller one is left out where there are others."""
        return max(len(self.rows) // (self.batch_size * self.world_size), 1)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order: NDArray[np.int64] = self.rows
        shuffled = -1
        for number in range(self.start, self.batches):
            epoch, place = divmod(number, self.batches_per_epoch)
            if epoch != shuffled:
                order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
                shuffled = epoch
            first = place * self.batch_size * self.world_size
            whole = order[first : first + self.batch_size * self.world_size]
            yield [(epoch, int(row)) for row in whole[self.rank :: self.world_size]]


class _WholeBatches(Dataset["Pair | Packed"]):
    """Batches by the keys of their pairs; packed where they have to go to another process."""

    def __init__(self, pairs: PairedImages) -> None:
        self.pairs = pairs

    def __getitem__(self, keys: list[tuple[int, int]]) -> Pair | Packed:
        batch = self.pairs.batch(keys)
        return batch if get_worker_info() is None else pack(batch)


def _as_it_is(batch: Any) -> Any:
    return batch


class StreamLoader(DataLoader["Pair | Packed"]):
    """A loader over `StreamSampler` whose place is part of the checkpoint.

    Counted are the batches handed out, not those that workers have read ahead.

    Parameters
    ----------
    dataset : PairedImages
    sampler : StreamSampler
    **options
        Of `torch.utils.data.DataLoader`.
    """

    def __init__(self, dataset: PairedImages, sampler: StreamSampler, **options: Any) -> None:
        whole = _WholeBatches(dataset)
        super().__init__(whole, sampler=sampler, batch_size=None, collate_fn=_as_it_is, **options)
        self.stream = sampler
        self.given = 0

    def __iter__(self) -> Any:
        self.stream.start = self.given
        for batch in super().__iter__():
            self.given += 1
            yield unpack(batch) if isinstance(batch, Packed) else batch

    def state_dict(self) -> dict[str, int]:
        """Return the place in the stream as plain values."""
        return {
            "batches": self.given,
            "batch_size": self.stream.batch_size,
            "world_size": self.stream.world_size,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue behind the batches already given.

        Raises
        ------
        ValueError
            If the batch size or the number of processes is another than when the state was taken.
        """
        for name in ("batch_size", "world_size"):
            if state[name] != getattr(self.stream, name):
                now = getattr(self.stream, name)
                raise ValueError(f"{name} was {state[name]}, is {now}: the stream cannot be continued")
        self.given = state["batches"]
