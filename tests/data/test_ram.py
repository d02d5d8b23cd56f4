"""Reading at random from a stack of 20 GB takes no more memory than reading from one of 20 MB."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import mrcfile
import numpy as np
import pandas as pd
import pytest
from torch.utils.data import DataLoader, Dataset

from cryoalign.data.dataset import PairedImages
from cryoalign.data.images import ParticleImages
from cryoalign.data.loader import StreamLoader, StreamSampler
from cryoalign.data.normalize import Normalization
from cryoalign.io.relion import locate_stacks
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
BOX = 256
LARGE, SMALL = 20 * 10**9 // (4 * BOX**2), 20 * 10**6 // (4 * BOX**2)  # images in 20 GB and in 20 MB
READ = 1000
ROWS = np.random.default_rng(0).choice(LARGE, READ, replace=False)
LIMIT = 150e6

pytestmark = pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="there is no /proc to read the anonymous memory of processes from",
)


def anonymous() -> int:
    """Sum RssAnon in bytes over this process and its children.

    Mapped pages of a file are not in it: the system takes them back when it needs them.
    """
    family = [os.getpid(), *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]
    total = 0
    for process in family:
        status = Path(f"/proc/{process}/status").read_text()
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return 1024 * total


def table(path: Path, count: int) -> Particles:
    return Particles.make(
        path.with_suffix(".star"),
        (Optics(1, "one", 1.0, 300.0, 2.7, 0.1, BOX),),
        count,
        stack=np.full(count, path.name),
        micrograph=np.full(count, "micrograph.mrc"),
        table=pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@{path.name}" for i in range(count)]}),
    )


def write(path: Path, count: int, slots: np.ndarray) -> None:
    """Write a stack whose images at `slots` hold their number in one pixel; the rest are holes in it."""
    with mrcfile.new_mmap(path, (count, BOX, BOX), mrc_mode=2) as mrc:
        mrc.voxel_size = 1.0
        for slot in slots:
            mrc.data[slot, 0, 0] = slot + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both stacks."""
    folder = tmp_path_factory.mktemp("memory")
    if shutil.disk_usage(folder).free < 10**9:
        pytest.skip("the disk has less than 1 GB left")
    write(folder / "small.mrcs", SMALL, np.arange(SMALL))
    write(folder / "large.mrcs", LARGE, ROWS)
    yield folder
    shutil.rmtree(folder)


def read(path: Path, count: int, rows: np.ndarray, workers: int) -> int:
    """Read `rows` as pairs through the loader, check each image, and give the peak of anonymous memory."""
    particles = table(path, count)
    images = ParticleImages(particles, locate_stacks(particles))
    pairs = PairedImages(images, images, Normalization(radius=1.0), seed=0)
    batches = READ // 8
    loader = StreamLoader(pairs, StreamSampler(rows, 8, batches, seed=0), num_workers=workers)
    peak, seen = 0, []
    for batch in loader:
        number = batch["index"].numpy() + 1
        np.testing.assert_array_equal(batch["sim"][:, 0, 0, 0], number)
        offset, scale = batch["raw_parameters"].numpy()[:, :2].T
        np.testing.assert_allclose(batch["raw"][:, 0, 0, 0].numpy() * scale + offset, number, atol=0.1)
        seen.extend(batch["index"].tolist())
        peak = max(peak, anonymous())
    assert len(seen) == READ
    assert set(seen) == set(rows.tolist())
    return peak


def forked(measure: Callable[..., T], *arguments: object) -> T:
    """Call `measure` where children are forked, as by default: those of a fork server are not counted."""
    set_start_method("fork", force=True)
    return measure(*arguments)


def apart(measure: Callable[..., T], *arguments: object) -> T:
    """Call `measure` in a process begun anew: a forked one holds, and lets go, what earlier tests left."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(forked, measure, *arguments).result()


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_does_not_grow_with_the_stack(folder: Path, workers: int) -> None:
    assert (folder / "large.mrcs").stat().st_size > 19.9e9
    before = apart(read, folder / "small.mrcs", SMALL, np.arange(SMALL), workers)
    after = apart(read, folder / "large.mrcs", LARGE, ROWS, workers)
    print(f"{workers} workers: {before / 1e6:.0f} MB from {SMALL} images, {after / 1e6:.0f} MB from {LARGE}")
    assert after - before < LIMIT


class Hoard(Dataset[int]):
    """Keeps 1.2 times what is allowed in the process that reads it."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        self.kept = np.ones(int(1.2 * LIMIT), dtype=np.uint8)
        return index


def hoarding(workers: int) -> list[bool]:
    """Return of each image read whether the memory has grown beyond what is allowed."""
    before = anonymous()
    kept = Hoard()
    return [anonymous() - before > LIMIT for _ in DataLoader(kept, num_workers=workers)]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_process_keeps_is_seen(workers: int) -> None:
    assert apart(hoarding, workers) == [True]
