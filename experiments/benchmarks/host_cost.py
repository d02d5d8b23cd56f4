"""What the host does in a training step beside the networks: on a GPU it must not be in the way.

No GPU is needed. Pairs come from files, through the loader and its workers at their full size, into
cryoalign's step under its trainer, with two changes: of each image only a corner of 16 px goes on, and the
networks are replaced by a sum of as many weights as they have. What these stand-ins take, forward and back,
is measured too, and taken off. What is left is what the host does whatever the device is: taking a batch from
the workers, Lightning, the order of the operations, losses, optimizers, bookkeeping. The baseline, in turns
with it, is a plain PyTorch loop with the same stand-ins, losses, optimizers and batches. Counted is the
processor's time of the training process, which other programs on the machine change less than elapsed time.
Beside that: what a core reads, without workers::

    python experiments/benchmarks/host_cost.py --box 256 --batch 16 --workers 4

On a GPU each operation is started by a call of a few microseconds more, which is not in these times.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import itertools
import pstats
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.pytorch import seed_everything
from random_pairs import write_pairs
from torch import nn
from training_step import BareLoop, Turns, step_count, turns
from training_step import configuration as default_configuration

from cryoalign.models.discriminator import Discriminator
from cryoalign.models.generator import Generator
from cryoalign.train.build import build_data, build_system
from cryoalign.train.loggers import build_loggers
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.trainer import build_callbacks, build_trainer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omegaconf import DictConfig
    from torch import Tensor

    from cryoalign.data.dataset import Pair
    from cryoalign.models.generator import Metadata
    from cryoalign.train.system import PairedGAN

CORNER = 16
IMAGES = ("sim", "raw")


class _Weights(nn.Module):
    """As many weights as a network has tensors, each a number."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        count = len(list(network.parameters()))
        self.all = nn.ParameterList(nn.Parameter(torch.full((), 1 / count)) for _ in range(count))

    def forward(self) -> Tensor:
        return torch.stack([*self.all._parameters.values()]).sum()


class StandInGenerator(Generator):
    """A factor."""

    def __init__(self, network: Generator) -> None:
        super().__init__(CORNER, network.noise_channels)
        self.weights = _Weights(network)

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:  # noqa: ARG002
        """Multiply."""
        fake = self.weights() * sim
        return fake if noise is None else fake + noise.mean(1, keepdim=True)


class StandInDiscriminator(Discriminator):
    """A factor, too."""

    def __init__(self, network: Discriminator) -> None:
        super().__init__()
        self.weights = _Weights(network)

    def forward(self, sim: Tensor, image: Tensor) -> Tensor:
        """Multiply."""
        return self.weights() * (image - sim)


class Corners(Turns):
    """Batches from files, their images cut; before each turn, the bare loop trains on the same ones."""

    def __init__(
        self, source: Iterator[Pair], bare: BareLoop, block: int, turns: int, *, profile: bool
    ) -> None:
        super().__init__([corner(next(source))], bare, block, turns, time.process_time)
        self.source, self.profiled = source, cProfile.Profile(time.process_time) if profile else None
        self.seconds = {"cryoalign": [], "bare": [], "loader": [], "networks": []}

    def __iter__(self) -> Iterator[Pair]:
        for _ in range(self.turns):
            now: list[Pair] = []

            def take(now: list[Pair] = now) -> None:
                now.extend(itertools.islice(self.source, self.block))

            self._time("loader", take)
            now = [corner(batch) for batch in now]
            self._time("bare", lambda now=now: [self.bare.step(batch) for batch in now])
            self._time("networks", lambda now=now: [networks_alone(self.bare, batch) for batch in now])
            start = self._clock()
            if self.profiled:
                self.profiled.enable()
            yield from now
            if self.profiled:
                self.profiled.disable()
            self.seconds["cryoalign"].append((self._clock() - start) / self.block)
        yield self.batches[0]


def networks_alone(loop: BareLoop, batch: Pair) -> None:
    """Run the networks of a step forward and back, without losses and optimizers."""
    sim, raw = batch["sim"], batch["raw"]
    fake = loop.generator(sim, None)
    (loop.discriminator(sim, raw) + loop.discriminator(sim, fake.detach())).sum().backward()
    loop.discriminator.requires_grad_(False)
    loop.discriminator(sim, fake).sum().backward()
    loop.discriminator.requires_grad_(True)
    for optimizer in (loop.optimizer, loop.optimizer_of_d):
        optimizer.zero_grad()


def corner(batch: Pair) -> Pair:
    """Cut the images of a batch."""
    cut = {name: values[..., :CORNER, :CORNER].clone() for name, values in batch.items() if name in IMAGES}
    return cast("Pair", {**batch, **cut, "other": cut["raw"]})


def stand_in(cfg: DictConfig, box: int) -> PairedGAN:
    """Make a system for corners, with stand-ins for the networks of a box."""
    system, networks = build_system(cfg, CORNER), build_system(cfg, box)
    system.generator = StandInGenerator(networks.generator)
    if networks.discriminator is not None:
        system.discriminator = StandInDiscriminator(networks.discriminator)
    return system


def measure(cfg: DictConfig, arguments: argparse.Namespace) -> dict[str, float]:
    """Train both ways and return the medians in ms a step; pairs a second and core of the loader."""
    data = build_data(cfg)
    seed_everything(0, verbose=False)
    system, twin = stand_in(cfg, data.box), stand_in(cfg, data.box)
    source = iter(data.train_dataloader())
    batches = Corners(source, BareLoop(twin), arguments.block, turns(arguments), profile=arguments.profile)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        steps = step_count(arguments)
        loggers = build_loggers(cfg, folder, None)
        trainer = build_trainer(cfg, folder, loggers, build_callbacks(cfg), max_steps=steps)
        with without_known_warnings():
            trainer.fit(system, datamodule=batches)
    if batches.profiled:
        pstats.Stats(batches.profiled).sort_stats("tottime").print_stats(40)
    found = {name: 1e3 * float(np.median(times[1:])) for name, times in batches.seconds.items()}
    return found | {"pairs/s": pairs_a_second(cfg, arguments)}


def pairs_a_second(cfg: DictConfig, arguments: argparse.Namespace) -> float:
    """Return what one core reads, crops, normalizes and turns."""
    alone = cfg.copy()
    alone.data.workers = 0
    batches = iter(build_data(alone).train_dataloader())
    next(batches)
    start = time.process_time()
    count = sum(1 for _ in itertools.islice(batches, arguments.reads))
    return count * arguments.batch / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, default=256, help="box size in px")
    parser.add_argument("--batch", type=int, default=16, help="pairs in a batch")
    parser.add_argument("--workers", type=int, default=4, help="loader processes")
    parser.add_argument("--steps", type=int, default=100, help="steps that are timed, of each")
    parser.add_argument("--block", type=int, default=20, help="steps in a turn; two of them are logged")
    parser.add_argument("--reads", type=int, default=20, help="batches that are read without workers")
    parser.add_argument("--pairs", type=int, default=320, help="pairs in the files")
    parser.add_argument("--folder", help="where to write them; the system's for temporary files if not given")
    parser.add_argument("--profile", action="store_true", help="print where the time of our step goes")
    parser.add_argument("--set", nargs="*", default=[], help="settings of the training")
    arguments = parser.parse_args()
    arguments.device = "cpu"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        sim, raw = write_pairs(Path(name), arguments.box, arguments.pairs)
        steps = step_count(arguments)
        settings = [
            "data=stars", f"data.sim={sim}", f"data.raw={raw}", f"data.workers={arguments.workers}",
            "optimizer.algorithm.fused=true", "log_every=10", *arguments.set,
        ]  # fmt: skip
        found = measure(default_configuration(arguments.box, arguments, steps, settings), arguments)
    taken, ours, bare, networks = (found[name] for name in ("loader", "cryoalign", "bare", "networks"))
    print("ms of the processor a step, in the training process; goal: under 3 in all, beside the networks")
    names = ("take a batch", "step (ours)", "step (bare)", "stand-ins", "in all but those", "pairs/s a core")
    print(f"| box/px | batch | workers | {' | '.join(names)} |")
    print("| --: " * 9 + "|")
    print(
        f"| {arguments.box} | {arguments.batch} | {arguments.workers} | {taken:.2f} | {ours:.2f} "
        f"| {bare:.2f} | {networks:.2f} | {taken + ours - networks:.2f} | {found['pairs/s']:.0f} |"
    )


if __name__ == "__main__":
    main()
