"""Judging many images takes no more memory than judging few: they are read batch by batch and added up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoalign.data.images import ParticleImages
from cryoalign.data.normalize import Normalization
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.measures.noise.image_table import image_table
from cryoalign.evaluate.stacks import Stacks
from cryoalign.io.mrc_write import StackWriter
from cryoalign.particles import Optics, Particles

BOX, FEW, MANY = 32, 300, 3000
MOST = 300  # whose noise is looked at image by image
KINDS = ("fake", "raw", "sim", "truth", "second_draw")
LIMIT = 15e6  # the images of the longer pass take 61 MB, and those of other particles 25 MB more

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="there is no /proc to read the anonymous memory of processes from",
)


def anonymous() -> int:
    """Read RssAnon in bytes: without mapped files, which the system takes back when it needs the memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def pairs(path: Path, count: int) -> Stacks:
    """All kinds of images are those of one stack."""
    defocus = np.tile([1.2e4, 1.1e4, 30.0], (count, 1)) + np.arange(count)[:, None]
    table = Particles.make(
        path.with_suffix(".star"),
        (Optics(1, "one", 1.2, 300.0, 2.7, 0.1, BOX),),
        count,
        stack=np.full(count, path.name),
        slot=np.arange(count),
        defocus=defocus,
    )
    images = ParticleImages(table, {path.name: path})
    maps = dict.fromkeys(("raw", "sim", "truth"), Normalization())
    return Stacks(table, dict.fromkeys(KINDS, images), maps, np.arange(count) // 30)


def peak(path: Path, count: int) -> int:
    """Add up, and give the highest anonymous memory met on the way."""
    highest, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        case = Case(pairs(path, count))
        assert case.sums.count.sum() == count
        assert len(image_table(case, MOST).units) == min(count, MOST)
    finally:
        done.set()
        watcher.join()
    return max(highest)


def main(path: Path) -> None:
    """Print the peaks of few images, of many, and of many that are kept."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with StackWriter(path, MANY, BOX, 1.2) as writer:
        for _ in range(MANY // 100):
            writer.write(rng.normal(size=(100, BOX, BOX)).astype(np.float32))
    for _ in range(2):  # what the allocator keeps for later is there after these
        peak(path, FEW)
    peaks = [peak(path, FEW), peak(path, MANY)]
    kept, read = [], Stacks.images

    def hoard(stacks: Stacks, kind: str, rows: np.ndarray) -> torch.Tensor:
        kept.append(read(stacks, kind, rows))
        return kept[-1]

    Stacks.images = hoard  # type: ignore[method-assign]
    print(json.dumps([*peaks, peak(path, MANY)]))


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    # A process of its own, in which nothing else has left room to be used.
    run = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "images.mrcs")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    few, many, kept = json.loads(run.stdout)
    print(f"{few / 1e6:.0f} MB for {FEW} images, {many / 1e6:.0f} MB for {MANY}, {kept / 1e6:.0f} MB kept")
    assert many - few < LIMIT
    assert kept - few > LIMIT  # so the limit would show it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
