"""Simulating many images takes no more memory than simulating few: they are written as they are made."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pandas as pd
import pytest
import torch

from cryoalign.io.mrc import StackWriter
from cryoalign.particles import Optics, Particles
from cryoalign.population.population import Population
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = 1024  # bytes
BOX, FEW, MANY = 64, 320, 2240
LIMIT = 15e6  # the images of the longer simulation take 37 MB
BATCH = 32
SMALL, FEW_ROWS, MANY_ROWS = 4, 1000, 10_000
ROWS_LIMIT = 8e6  # the rows of the longer table, all at once, take 20 MB

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


def peak(folder: Path, simulated: Particles | Population, name: str) -> int:
    """Simulate, and give the highest anonymous memory met on the way."""
    highest, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            highest.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        specimen = DensityMap(folder / "map.mrc")
        simulate_particles(simulated, specimen, folder / name, batch_size=BATCH, progress=False)
    finally:
        done.set()
        watcher.join()
    return max(highest)


def main(folder: Path, new: bool) -> None:
    """Print the peaks of few, of many, and of many that are kept."""
    torch.set_num_threads(1)
    volume = np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32)
    mrcfile.write(folder / "map.mrc", volume, voxel_size=1.2)
    print(json.dumps(peaks_of_new(folder) if new else peaks_of_measured(folder)))


def peaks_of_measured(folder: Path) -> list[int]:
    """Return the peaks of few images, of many, and of many images that are kept."""
    for name in ("first", "second"):  # what the allocator keeps for later is there after these
        peak(folder, particles(FEW), name)
    peaks = [peak(folder, particles(FEW), "few"), peak(folder, particles(MANY), "many")]
    kept, write = [], StackWriter.write

    def hoard(writer: StackWriter, images: np.ndarray) -> None:
        kept.append(images)
        write(writer, images)

    StackWriter.write = hoard  # type: ignore[assignment, method-assign]
    return [*peaks, peak(folder, particles(MANY), "kept")]


def peaks_of_new(folder: Path) -> list[int]:
    """Return the peaks of few rows, of many, and of many at once; their images take next to nothing."""
    (folder / "random.star").touch()
    like = replace(particles(500), source=folder / "random.star")
    like = replace(like, optics=(replace(like.optics[0], box_size=SMALL),))
    few, many = Population(like, FEW_ROWS), Population(like, MANY_ROWS)
    for name in ("first", "second"):
        peak(folder, few, name)
    peaks = [peak(folder, few, "few"), peak(folder, many, "many")]

    def at_once(rows: Population) -> Iterator[tuple[np.ndarray, Particles]]:
        yield rows.row - 1, rows.take(rows.row - 1)

    Population.parts = at_once  # type: ignore[method-assign]
    return [*peaks, peak(folder, many, "kept")]


def size(folder: Path) -> int:
    """Bytes of the images, in whatever files they are."""
    return sum(path.stat().st_size - HEADER for path in folder.glob("sim*.mrcs"))


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many, kept = watched(tmp_path)
    print(f"{few / 1e6:.0f} MB for {FEW} images, {many / 1e6:.0f} MB for {MANY}, {kept / 1e6:.0f} MB kept")
    assert size(tmp_path / "many") == 4 * MANY * BOX**2
    assert many - few < LIMIT
    assert kept - few > LIMIT  # so the limit would show it


def test_memory_does_not_grow_with_the_number_of_new_particles(tmp_path: Path) -> None:
    few, many, kept = watched(tmp_path, "new")
    print(
        f"{few / 1e6:.0f} MB for {FEW_ROWS} rows, {many / 1e6:.0f} for {MANY_ROWS}, {kept / 1e6:.0f} at once"
    )
    assert size(tmp_path / "many") == 4 * MANY_ROWS * SMALL**2
    assert many - few < ROWS_LIMIT
    assert kept - few > ROWS_LIMIT


def watched(folder: Path, *words: str) -> list[int]:
    """Return the peaks that a process of its own prints, in which nothing else has left room to be used."""
    command = [sys.executable, __file__, str(folder), *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: list[int] = json.loads(run.stdout)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), new="new" in sys.argv)
