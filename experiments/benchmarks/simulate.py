"""Images per second of two programs: ``python -m cryoalign.simulate`` and ``relion_project --ctf``.

Each program simulates 200 and 2,000 particles with the same poses, shifts and CTFs from the same map and
writes the stack. The difference of the two runs gives its speed; the rest of a run is its start: imports,
reading the map, transforming it. The programs take turns, and the shortest run of each counts: the others
measure what else the machine does. RELION's runs on one thread. The ratio is ours / RELION's. Beside it
stands the speed by processor time, of all threads together, which others on the machine change less::

    python experiments/benchmarks/simulate.py --boxes 128 256 --threads 2 1 --repeats 3
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pandas as pd

from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXEL_SIZE = 1.2


def random_particles(count: int, box: int, seed: int) -> Particles:
    """Random poses, shifts and defocus; the cost does not depend on them."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(8e3, 2.5e4, count)
    return Particles(
        source=Path("random.star"),
        optics=(Optics(1, "one", PIXEL_SIZE, 300, 2.7, 0.1, box_size=box),),
        row=np.arange(1, count + 1),
        optics_index=np.zeros(count, dtype=np.int64),
        stack=np.full(count, "raw.mrcs"),
        slot=np.arange(count),
        micrograph=np.full(count, "mic.mrc"),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-5, 5, (count, 2)),
        defocus=np.stack([mean + 300, mean - 300, rng.uniform(0, 180, count)], axis=1),
        phase_shift=np.zeros(count),
        ctf_bfactor=np.zeros(count),
        ctf_scale=np.ones(count),
        half=np.zeros(count, dtype=np.int64),
        sign=np.ones(count),
        table=pd.DataFrame(index=range(count)),
    )


def prepare(folder: Path, box: int, counts: list[int], seed: int) -> None:
    """Write the map, the metadata, and raw stacks of holes, which RELION looks for but does not read."""
    volume = np.random.default_rng(seed).normal(size=(box, box, box)).astype(np.float32)
    mrcfile.write(folder / "map.mrc", volume, voxel_size=PIXEL_SIZE)
    for count in counts:
        write_particles(folder / f"{count}.star", random_particles(count, box, seed))
    with mrcfile.new_mmap(folder / "raw.mrcs", (max(counts), box, box), mrc_mode=2) as raw:
        raw.set_image_stack()


def seconds(command: list[str], folder: Path, output: str, threads: int) -> NDArray[np.float64]:
    """Run a program, remove what it wrote, and give the time that it took: elapsed, and of processors."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    before, start = os.times(), time.perf_counter()
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if run.returncode:
        raise SystemExit(f"{command[0]} exits with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    for path in folder.glob(f"{output}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return np.array([wall, used])


def ours(count: int, output: str) -> list[str]:
    """Return the command line of our program."""
    values = {"particles": f"{count}.star", "volume": "map.mrc", "out": output, "progress": "false"}
    return [sys.executable, "-m", "cryoalign.simulate", *(f"{key}={value}" for key, value in values.items())]


def theirs(count: int, output: str) -> list[str]:
    """Return the command line of RELION's program."""
    files = ["--i", "map.mrc", "--ang", f"{count}.star", "--o", output]
    return ["relion_project", *files, "--ctf", "--angpix", str(PIXEL_SIZE)]


def compare(box: int, arguments: argparse.Namespace) -> None:
    """Measure one box size and print its rows of the table."""
    few, many = arguments.images
    runs = {(f"ours, {threads}", threads): ours for threads in arguments.threads}
    if shutil.which("relion_project"):
        runs["RELION, 1", 1] = theirs
    best: dict[tuple[str, int], NDArray[np.float64]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        prepare(folder, box, [few, many], arguments.seed)
        for _ in range(arguments.repeats):
            for (label, threads), command in runs.items():
                for count in (few, many):
                    used = seconds(command(count, "out"), folder, "out", threads)
                    best[label, count] = np.minimum(used, best.get((label, count), used))
    speed = {label: (many - few) / (best[label, many] - best[label, few]) for label, _ in runs}
    for label, _ in runs:
        total, start = best[label, many][0], (best[label, few] - few / speed[label])[0]
        rows = (f"{speed[label][i]:.0f} | {ratio(speed, label, i)}" for i in (0, 1))
        print(f"| {box} | {label} | {' | '.join(rows)} | {start:.1f} | {total:.1f} |", flush=True)


def ratio(speed: dict[str, NDArray[np.float64]], label: str, clock: int) -> str:
    """Compare a program with RELION's, if that is there."""
    return f"{speed[label][clock] / speed['RELION, 1'][clock]:.2f}" if "RELION, 1" in speed else "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[128, 256], help="box sizes in px")
    parser.add_argument("--images", type=int, nargs=2, default=[200, 2000], help="particles of the two runs")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="threads of ours on the CPU")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the shortest counts")
    parser.add_argument(
        "--folder", help="where to write; the system's folder for temporary files if not given"
    )
    parser.add_argument("--seed", type=int, default=0, help="of poses, CTFs and the map")
    arguments = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}; start and total of {arguments.images[1]:,} images in s")
    print("| box/px | program, threads | images/s | ratio | by processor | ratio | start/s | total/s |")
    print("| --: | :-- | --: | --: | --: | --: | --: | --: |")
    for box in arguments.boxes:
        compare(box, arguments)
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
