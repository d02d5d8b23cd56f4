"""Training steps on a GPU: cryoalign's, a plain loop in float32, and the same loop in bf16, compiled.

The loops are those of experiments/benchmarks/training_step.py, in turns, on batches in memory. Each row is
printed as soon as it is there. *Kernels* is the share of a step of ours in which the GPU computed::

    python experiments/gpu/steps.py --device cuda --networks paper unet_256 --batches 16 1 64
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from training_step import BareLoop, compare, configuration, step_count

NETWORKS = {
    "paper": ["data.normalization.range=minmax", "generator.head=tanh"],
    "unet_256": ["generator=unet_256", "data.normalization.range=minmax"],
}
PLAIN: list[str] = []
HALF = ["trainer.precision=bf16-mixed", "optimizer.algorithm.fused=true"]
#: What cryoalign and the bare loop do alike: a name, settings of ours, of the loop.
WAYS: dict[str, tuple[list[str], dict[str, bool]]] = {
    "float32": (PLAIN, {}),
    "bf16": (HALF, {"bf16": True}),
    "bf16, compiled": ([*HALF, "speed.compile=default"], {"bf16": True, "compiled": True}),
    "bf16, channels last": ([*HALF, "speed.channels_last=true"], {"bf16": True}),
    "bf16, D once": ([*HALF, "speed.joint=true"], {"bf16": True}),
}


def rows(arguments: argparse.Namespace) -> None:
    """Measure one way after the other, the cheap ones first."""
    plain: dict[tuple[str, int], float] = {}
    for way in arguments.ways:
        settings, loop = WAYS[way]
        for network in arguments.networks:
            for batch in arguments.batches if way in ("float32", "bf16") else arguments.batches[:1]:
                arguments.batch = batch
                steps = step_count(arguments)
                cfg = configuration(arguments.box, arguments, steps, [*NETWORKS[network], *settings])
                found = compare(cfg, arguments, partial(BareLoop, **loop))
                ours, bare = float(np.median(found.ours)), float(np.median(found.bare))
                plain.setdefault((network, batch), bare)
                print(
                    f"| {network} | {batch} | {way} | {ours:.2f} | {bare:.2f} | {ours / bare:.3f} "
                    f"| {plain[network, batch] / ours:.2f} | {found.kernels / ours:.0%} |",
                    flush=True,
                )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="where to train, as torch names it")
    parser.add_argument("--box", type=int, default=256, help="box size in px")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 1, 64], help="pairs in a batch")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--steps", type=int, default=60, help="steps that are timed, of each")
    parser.add_argument("--block", type=int, default=20, help="steps in a turn; two of them are logged")
    arguments = parser.parse_args()
    arguments.clock = "wall"
    torch.set_num_threads(1 if arguments.device == "cpu" else torch.get_num_threads())
    print("ms a step; goals: ours / bare at most 1.10, 3 times as fast as the plain loop, 80 % kernels")
    print("| networks | batch | way | ours | bare | ours / bare | plain float32 / ours | kernels |")
    print("| :-- | --: | :-- | --: | --: | --: | --: | --: |")
    rows(arguments)


if __name__ == "__main__":
    main()
