"""What a whole job costs, step by step, and what a million particles would.

Random poses are simulated from a map of noise, measured images are made by adding white noise, `physical` is
fitted to the pairs, and both it and a U-Net that was trained for one step export fakes. Each command is run
with few and with many particles: the difference is the cost of an image, the rest that of a start. Seconds
are those of the processor, of all threads together; memory is the highest anonymous memory (RssAnon) of the
run with many. What a million cost is computed from that: nothing in it was run at that size. Linux only::

    python experiments/benchmarks/pipeline.py --boxes 256 440 --images 100 400
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import mrcfile
import numpy as np
from simulate import ours, prepare
from simulate_memory import peak

HEADER = "| box/px | step | processor/ms an image | start/s | peak/MB |\n| --: | :-- | --: | --: | --: |"
TOTALS = (
    "| box/px | step | hours of a core | disk, float32 | disk, float16 |\n| --: | :-- | --: | --: | --: |"
)


class Cost(NamedTuple):
    """Of one step: seconds of the processor of an image and of a start, and bytes."""

    image: float
    start: float
    peak: float


def used(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a program; return the seconds of the processor and the highest anonymous memory in bytes."""
    before = os.times()
    highest, _ = peak(command, folder)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system,
        highest,
    )


def add_noise(folder: Path, sims: Path, count: int, box: int) -> None:
    """Write ``raw.mrcs``: each simulated image with white noise of ten times its standard deviation."""
    rng = np.random.default_rng(0)
    (folder / "raw.mrcs").unlink()
    with (
        mrcfile.mmap(sims, permissive=False) as sim,
        mrcfile.new_mmap(folder / "raw.mrcs", (count, box, box), mrc_mode=2) as raw,
    ):
        raw.set_image_stack()
        raw.voxel_size = sim.voxel_size
        for number in range(count):
            image = sim.data[number]
            raw.data[number] = image + 10 * image.std() * rng.standard_normal((box, box), dtype=np.float32)


def room(name: str, *options: str) -> list[str]:
    """Return the command line of a command of cryoalign."""
    return [sys.executable, "-m", f"cryoalign.{name}", *options]


def steps(box: int, counts: list[int], folder: Path) -> dict[str, Cost]:
    """Run all steps with few and with many particles."""
    times: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    prepare(folder, box, counts, seed=0)
    for count in counts:
        sims = folder / f"sim{count}"
        pairs = ["data=stars", f"data.sim=sim{count}/sim.star", f"data.raw={count}.star"]
        trained = [
            *pairs,
            "test=false",
            "trainer.enable_progress_bar=false",
            "data.check=read",
            "data.split.by=rlnImageName",
        ]
        once = ["trainer.max_steps=1", "trainer.val_check_interval=1", "trainer.limit_val_batches=1"]
        commands = {
            "simulate": ours(count, sims.name),
            "fit of physical": room(
                "train", "generator=physical", *trained, f"hydra.run.dir=physical{count}"
            ),
            "U-Net, one step": room(
                "train", *trained, *once, "data.batch_size=1", f"hydra.run.dir=unet{count}"
            ),
        }
        for name in ("physical", "unet"):
            commands[f"export by {name}"] = room(
                "export",
                f"run={name}{count}",
                f"particles=sim{count}/sim.star",
                f"out={name}_fakes{count}",
                "progress=false",
            )
        for step, command in commands.items():
            seconds, memory[step] = used(command, folder)
            times.setdefault(step, []).append(seconds)
            if step == "simulate":
                add_noise(folder, sims / "sim.mrcs", count, box)
        for path in folder.glob("*_fakes*"):
            shutil.rmtree(path)
    few, many = counts
    costs = {}
    for step, (short, long) in times.items():
        image = max(0.0, (long - short) / (many - few))
        costs[step] = Cost(image, short - few * image, memory[step])
    return costs


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[256, 440], help="box sizes in px")
    parser.add_argument("--images", type=int, nargs=2, default=[100, 400], help="particles of the two runs")
    parser.add_argument("--particles", type=int, default=1_000_000, help="to compute the cost of")
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    arguments = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}\n{HEADER}", flush=True)
    totals = []
    for box in arguments.boxes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            for step, cost in steps(box, arguments.images, Path(name)).items():
                numbers = f"{1e3 * cost.image:.1f} | {cost.start:.1f} | {cost.peak / 1e6:.0f}"
                print(f"| {box} | {step} | {numbers} |", flush=True)
                if step in {"simulate", "export by physical", "export by unet"}:
                    hours = arguments.particles * cost.image / 3600
                    disk = arguments.particles * box**2 * 4 / 1e9
                    totals.append(f"| {box} | {step} | {hours:.1f} | {disk:.0f} GB | {disk / 2:.0f} GB |")
    print(f"\n{arguments.particles:,} particles:\n{TOTALS}", *totals, sep="\n")
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
