"""Simulating many images takes no more memory than simulating few: they are written as they are made."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import torch

from cryoalign.io.mrc import StackWriter
from cryoalign.particles import Optics, Particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

BOX, FEW, MANY = 64, 320, 3200
LIMIT = 15e6  # the images of the longer simulation take 52 MB

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="there is no /proc to read the anonymous memory of processes from",
)


def anonymous() -> int:
    """Read RssAnon in bytes: without mapped files, which the system takes back when it needs the memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def particles(count: int) -> Particles:
    rng = np.random.default_rng(0)
    return Particles(
        source=Path("random.star"),
        optics=(Optics(1, "one", 1.2, 300.0, 2.7, 0.1, BOX),),
        row=np.arange(1, count + 1),
        optics_index=np.zeros(count, dtype=np.int64),
        stack=np.full(count, "raw.mrcs"),
        slot=np.arange(count),
        micrograph=np.full(count, "micrograph.mrc"),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-5, 5, (count, 2)),
        defocus=np.tile([1.2e4, 1.1e4, 30.0], (count, 1)),
        phase_shift=np.zeros(count),
        ctf_bfactor=np.zeros(count),
        ctf_scale=np.ones(count),
        half=np.zeros(count, dtype=np.int64),
        sign=np.ones(count),
        table=pd.DataFrame(index=range(count)),
    )


def peak(folder: Path, count: int, name: str) -> int:
    """Simulate, and give the highest anonymous memory met on the way."""
    highest, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            highest.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        specimen = DensityMap(folder / "map.mrc")
        simulate_particles(particles(count), specimen, folder / name, progress=False)
    finally:
        done.set()
        watcher.join()
    return max(highest)


def main(folder: Path) -> None:
    """Print the peaks of few images, of many, and of many that are kept."""
    torch.set_num_threads(1)
    volume = np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32)
    mrcfile.write(folder / "map.mrc", volume, voxel_size=1.2)
    for name in ("first", "second"):  # what the allocator keeps for later is there after these
        peak(folder, FEW, name)
    peaks = [peak(folder, FEW, "few"), peak(folder, MANY, "many")]
    kept, write = [], StackWriter.write

    def hoard(writer: StackWriter, images: np.ndarray) -> None:
        kept.append(images)
        write(writer, images)

    StackWriter.write = hoard  # type: ignore[assignment, method-assign]
    print(json.dumps([*peaks, peak(folder, MANY, "kept")]))


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    # A process of its own, in which nothing else has left room to be used.
    run = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    few, many, kept = json.loads(run.stdout)
    print(f"{few / 1e6:.0f} MB for {FEW} images, {many / 1e6:.0f} MB for {MANY}, {kept / 1e6:.0f} MB kept")
    assert (tmp_path / "many/sim.mrcs").stat().st_size == 1024 + 4 * MANY * BOX**2
    assert many - few < LIMIT
    assert kept - few > LIMIT  # so the limit would show it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
