"""Pairs a second that the loader gives, against those that a training step consumes.

The data are random pairs in files, read as a training reads them: random rows out of the mapped stacks,
cropped, normalized and turned. The step is the bare loop of training_step.py, on batches in memory. Each is
timed while the other rests. A ratio above 1 means that the loader is the faster one; without workers the two
take turns, so the loader then adds 1 / ratio of a step to each step::

    python experiments/benchmarks/loader.py --box 64 --batch 8 --batches 200
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from random_pairs import write_pairs
from training_step import BareLoop, random_batches
from training_step import configuration as default_configuration

from cryoalign.train.build import build_data, build_system

WARM_UP = 4  # batches or steps that are not counted: workers start, files are mapped, kernels chosen


def seconds_a_batch(folder: Path, workers: int, arguments: argparse.Namespace) -> float:
    """Return the mean time the loader needs for a batch when nothing else runs."""
    settings = ["data=stars", f"data.sim={folder / 'sim.star'}", f"data.raw={folder / 'raw.star'}"]
    steps = WARM_UP + arguments.batches
    cfg = default_configuration(arguments.box, arguments, steps, [*settings, f"data.workers={workers}"])
    batches = iter(build_data(cfg).train_dataloader())
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    given = sum(1 for _ in batches)
    return (time.perf_counter() - start) / given


def seconds_a_step(arguments: argparse.Namespace) -> float:
    """Return the median time of a training step."""
    cfg = default_configuration(arguments.box, arguments, 1)
    loop = BareLoop(build_system(cfg, arguments.box).to(arguments.device))
    batches = random_batches(arguments.box, arguments.batch)
    times = []
    for number in range(WARM_UP + arguments.steps):
        start = time.perf_counter()
        loop.step(batches[number % len(batches)])
        if loop.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP:]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=64, help="box size in px")
    parser.add_argument("--batch", type=int, default=8, help="pairs in a batch")
    parser.add_argument("--batches", type=int, default=200, help="batches that are timed")
    parser.add_argument("--steps", type=int, default=15, help="training steps that are timed")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="loader processes")
    parser.add_argument("--pairs", type=int, default=640, help="pairs in the files")
    parser.add_argument("--device", default="cpu", help="where the step runs, as torch names it")
    parser.add_argument("--threads", type=int, default=1, help="threads of the step on the CPU")
    arguments = parser.parse_args()
    arguments.block = arguments.steps
    torch.set_num_threads(arguments.threads)
    print("| box/px | workers | pairs/s (loader) | pairs/s (step) | ratio |\n| --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder, arguments.box, arguments.pairs)
        for workers in arguments.workers:
            given = arguments.batch / seconds_a_batch(folder, workers, arguments)
            consumed = arguments.batch / seconds_a_step(arguments)
            row = f"| {arguments.box} | {workers} | {given:.1f} | {consumed:.1f} | {given / consumed:.1f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
