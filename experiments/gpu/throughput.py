"""Images a second of ``cryoalign simulate`` and ``cryoalign export``, whole programs, on one device.

The difference of a run with many and one with few images is the speed; what is left is the start: imports,
the map, the networks. The generator of the export is trained for two steps only: its speed is what matters::

    python experiments/gpu/throughput.py --device cuda --box 256 --export --folder /dev/shm
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mrcfile
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from random_pairs import PIXEL_SIZE, write_pairs


def run(program: str, *settings: str) -> float:
    """Run a command and return its seconds; show what it wrote if it failed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"cryoalign.{program}", *settings], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"cryoalign {program} exits with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - start


def simulate(folder: Path, count: int, out: Path, arguments: argparse.Namespace) -> float:
    """Simulate new particles like those there."""
    return run(
        "simulate", f"like={folder / 'raw.star'}", f"count={count}", f"volume={folder / 'map.mrc'}",
        f"out={out}", f"device={arguments.device}", f"batch_size={arguments.batch}", "picture=false",
        "progress=false",
    )  # fmt: skip


def train(folder: Path) -> None:
    """Make a run whose generator can be exported."""
    run(
        "train", "data=stars", f"data.sim={folder / 'sim.star'}", f"data.raw={folder / 'raw.star'}",
        "audit=off", "test=false", "trainer=cpu", "trainer.max_steps=2", "data.batch_size=2",
        "trainer.val_check_interval=2", "callbacks.figures.size=1", "trainer.limit_val_batches=0.5",
        "trainer.enable_progress_bar=false", "generator.noise_channels=1", f"hydra.run.dir={folder / 'run'}",
    )  # fmt: skip


def export(folder: Path, particles: Path, out: Path, arguments: argparse.Namespace) -> float:
    """Refine simulated images."""
    return run(
        "export", f"run={folder / 'run'}", f"particles={particles}", f"out={out}", "unlike=take",
        f"workers={arguments.workers}", f"device={arguments.device}", "picture=false", "progress=false",
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="as the commands take it")
    parser.add_argument("--export", action="store_true", help="export what was simulated, too")
    parser.add_argument("--box", type=int, default=256, help="box size in px")
    parser.add_argument("--images", type=int, nargs=2, default=[1000, 7000], help="of the two runs")
    parser.add_argument("--batch", type=int, default=32, help="images simulated at once")
    parser.add_argument("--workers", type=int, default=4, help="processes that read, in an export")
    parser.add_argument("--folder", help="where to write; the system's for temporary files if not given")
    arguments = parser.parse_args()
    few, many = arguments.images
    print("goal: simulate 5,000 images a second at 256 px")
    print("| program | box/px | images/s | start/s |\n| :-- | --: | --: | --: |", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write_pairs(folder, arguments.box, 40)
        volume = np.random.default_rng(0).normal(size=(arguments.box,) * 3).astype(np.float32)
        mrcfile.write(folder / "map.mrc", volume, voxel_size=PIXEL_SIZE)
        stacks = {count: folder / f"sim_{count}" for count in (few, many)}
        report("simulate", [simulate(folder, count, stacks[count], arguments) for count in stacks], arguments)
        if arguments.export:
            train(folder)
            seconds = [
                export(folder, stack / "sim.star", folder / f"fake_{count}", arguments)
                for count, stack in stacks.items()
            ]
            report("export", seconds, arguments)


def report(program: str, seconds: list[float], arguments: argparse.Namespace) -> None:
    """Print a row."""
    few, many = arguments.images
    speed = (many - few) / (seconds[1] - seconds[0])
    print(f"| {program} | {arguments.box} | {speed:.0f} | {seconds[0] - few / speed:.1f} |", flush=True)


if __name__ == "__main__":
    main()
