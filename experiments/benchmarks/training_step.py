"""What a training step costs beyond its networks: cryoalign's step against a bare loop, and RPSD's share.

The same networks, losses, optimizers and batches are trained twice in one process: by `PairedGAN` under the
trainer as `cryoalign.train` configures it (loggers, progress bar and callbacks included), and by a plain
PyTorch loop. They take turns of some steps, one of which is logged, so that both see the same machine. The
batches are random and in memory: no loader plays a part. At the end both have to hold the same weights::

    python experiments/benchmarks/training_step.py --box 64 256 --batch 8 --steps 20

Validation, figures and checkpoints come once in so many steps and are not in these times.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import itertools
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import LightningDataModule, seed_everything
from torch.utils.data import DataLoader

from cryoalign.cli import CONF_DIR
from cryoalign.data.packing import moved
from cryoalign.train.build import build_system
from cryoalign.train.loggers import build_loggers
from cryoalign.train.quiet import without_known_warnings
from cryoalign.train.trainer import build_callbacks, build_trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from omegaconf import DictConfig

    from cryoalign.data.dataset import Pair
    from cryoalign.train.system import PairedGAN

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
DISTINCT = 4  # batches; they come again and again


class BareLoop:
    """The training step as one would write it without a framework."""

    def __init__(self, system: PairedGAN, *, bf16: bool = False, compiled: bool = False) -> None:
        self.generator, self.discriminator = system.generator, system.discriminator
        self.objective, self.device = system.objective, next(system.parameters()).device
        self.optimizer = system.optimizer_factory(self.generator.parameters())
        self.optimizer_of_d = system.optimizer_factory(self.discriminator.parameters())
        self.half = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        if compiled:
            self.generator.compile()
            self.discriminator.compile()

    def step(self, batch: Pair) -> None:
        """Update the discriminator, then the generator."""
        with self.half:
            self._step(batch)

    def _step(self, batch: Pair) -> None:
        sim, raw = (batch[kind].to(self.device, non_blocking=True) for kind in ("sim", "raw"))
        weights, adversarial = self.objective.weights, self.objective.adversarial
        fake = self.generator(sim, None)
        loss_d = adversarial.discriminator(
            self.discriminator(sim, raw), self.discriminator(sim, fake.detach())
        )
        loss_d.backward()
        self.optimizer_of_d.step()
        self.optimizer_of_d.zero_grad()
        self.discriminator.requires_grad_(False)
        loss_g = (
            weights["gan"] * adversarial.generator(self.discriminator(sim, fake))
            + weights["l1"] * (fake.float() - raw).abs().mean()
            + weights["rpsd"] * self.objective.scores["rpsd"](fake, raw)
        )
        loss_g.backward()
        self.discriminator.requires_grad_(True)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def rpsd(self, batch: Pair) -> None:
        """Run the spectral term alone, forward and back."""
        fake, raw = batch["sim"].to(self.device).requires_grad_(), batch["raw"].to(self.device)
        (self.objective.weights["rpsd"] * self.objective.scores["rpsd"](fake, raw)).backward()


class Turns(LightningDataModule):
    """Batches for Lightning; before each turn of its steps, the bare loop trains on the same ones."""

    def __init__(
        self, batches: list[Pair], bare: BareLoop, block: int, turns: int, clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self.clock = clock
        self.batches, self.bare, self.block, self.turns = batches, bare, block, turns
        self.box, self.pixel_size = batches[0]["sim"].shape[-1], 1.0
        self.seconds: dict[str, list[float]] = {"cryoalign": [], "bare": [], "rpsd": []}
        self.kernels = math.nan

    def __len__(self) -> int:
        return self.block * (self.turns + 1) + 1  # Lightning never asks for what follows the last batch

    def __iter__(self) -> Iterator[Pair]:
        batches = itertools.cycle(self.batches)
        for _ in range(self.turns):
            now = list(itertools.islice(batches, self.block))
            self._time("bare", lambda now=now: [self.bare.step(batch) for batch in now])
            self._time("rpsd", lambda now=now: [self.bare.rpsd(batch) for batch in now])
            start = self._clock()
            yield from now
            self.seconds["cryoalign"].append((self._clock() - start) / self.block)
        if self.bare.device.type == "cuda":
            yield from self._profiled(list(itertools.islice(batches, self.block)))
        last = next(batches)
        self.bare.step(last)
        yield last

    def _profiled(self, now: list[Pair]) -> Iterator[Pair]:
        """Find out how long kernels ran in a turn: what is left of a step is waiting for the host."""
        for batch in now:
            self.bare.step(batch)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
            yield from now
            torch.cuda.synchronize()
        kernels = sum(event.self_device_time_total for event in profiled.key_averages())
        self.kernels = 1e-3 * kernels / self.block

    def _time(self, name: str, work: Callable[[], Any]) -> None:
        start = self._clock()
        work()
        self.seconds[name].append((self._clock() - start) / self.block)

    def _clock(self) -> float:
        if self.bare.device.type == "cuda":
            torch.cuda.synchronize()
        return self.clock()

    def transfer_batch_to_device(self, batch: Pair, device: torch.device, *_: Any) -> Pair:
        """Move a batch as the data of a training do."""
        return moved(batch, device)

    def train_dataloader(self) -> Turns:
        """Return this object itself."""
        return self

    def val_dataloader(self) -> DataLoader[Pair]:
        """Return one pair."""
        return DataLoader([self.fixed_batch(1)], batch_size=None)  # type: ignore[arg-type]

    def fixed_batch(self, size: int) -> Pair:
        """Return the first pairs of the first batch."""
        batch = self.batches[0]
        images = {name: values[:size] for name, values in batch.items() if name != "metadata"}
        return {**images, "metadata": {"identity": images["index"]}}


def random_batches(box: int, size: int, *, pinned: bool = False) -> list[Pair]:
    """Random images; the cost does not depend on them."""
    random = torch.Generator().manual_seed(0)
    batches: list[Pair] = []
    for number in range(DISTINCT):
        images = torch.randn(3, size, 1, box, box, generator=random)
        sim, raw, other = (images.pin_memory() if pinned else images).unbind()
        index = torch.arange(size) + number * size
        batches.append(
            {
                "sim": sim,
                "raw": raw,
                "other": other,
                "index": index,
                "draw": 0 * index,
                "metadata": {"identity": index},
            }
        )
    return batches


def configuration(
    box: int, arguments: argparse.Namespace, steps: int, settings: Sequence[str] = ()
) -> DictConfig:
    """Compose a training, by default the default one, which validates and draws after the last step only."""
    overrides = {
        "trainer": "cpu",
        "trainer.accelerator": "gpu" if torch.device(arguments.device).type == "cuda" else "cpu",
        "trainer.max_steps": steps,
        "trainer.val_check_interval": steps,
        "callbacks.figures.every": steps,
        "callbacks.figures.size": 1,
        "log_every": arguments.block,
        "data.batch_size": arguments.batch,
        "embedded_box": box,
    }
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose("train", [*(f"{key}={value}" for key, value in overrides.items()), *settings])


def turns(arguments: argparse.Namespace) -> int:
    """Count the turns; the first is not timed."""
    return 1 + max(int(arguments.steps) // int(arguments.block), 1)


def step_count(arguments: argparse.Namespace) -> int:
    """Count the steps of all turns, of the one that is profiled on a GPU, and a last one behind them."""
    profiled = 1 if torch.device(arguments.device).type == "cuda" else 0
    return (turns(arguments) + profiled) * int(arguments.block) + 1


class Compared(NamedTuple):
    """What turns took, in ms a step, without the first one."""

    ours: NDArray[np.float64]
    bare: NDArray[np.float64]
    rpsd: NDArray[np.float64]
    kernels: float  # what a GPU computed in a step of ours; NaN on a CPU
    apart: float  # largest difference of two weights at the end


def compare(
    cfg: DictConfig,
    arguments: argparse.Namespace,
    bare: Callable[[PairedGAN], BareLoop] = BareLoop,
) -> Compared:
    """Train both ways, in turns."""
    box, steps = cfg.embedded_box, int(cfg.trainer.max_steps)
    seed_everything(0, verbose=False)
    system = build_system(cfg, box)
    twin = copy.deepcopy(system).to(arguments.device)
    batches = random_batches(box, arguments.batch, pinned=arguments.device != "cpu")
    data = Turns(batches, bare(twin), arguments.block, turns(arguments), CLOCKS[arguments.clock])
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        loggers = build_loggers(cfg, folder, None)
        trainer = build_trainer(cfg, folder, loggers, build_callbacks(cfg), max_steps=steps)
        with without_known_warnings():
            trainer.fit(system, datamodule=data)
    pairs = zip(system.parameters(), twin.parameters(), strict=True)
    apart = max(float((ours.cpu() - theirs.cpu()).detach().abs().max()) for ours, theirs in pairs)
    times = (1e3 * np.array(data.seconds[key][1:]) for key in ("cryoalign", "bare", "rpsd"))
    return Compared(*times, data.kernels, apart)


def measure(box: int, arguments: argparse.Namespace) -> str:
    """Train both ways and say what they took in a row of the table."""
    found = compare(configuration(box, arguments, step_count(arguments)), arguments)
    ratio, share = found.ours / found.bare, found.rpsd / found.ours
    return (
        f"{box:>6} {np.median(found.ours):>15.1f} {np.median(found.bare):>15.1f} {np.median(ratio):>6.3f} "
        f"{f'{ratio.min():.3f}..{ratio.max():.3f}':>15} {np.median(found.rpsd):>8.2f} "
        f"{np.median(share):>10.2%} {found.apart:>14.1e}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--box", type=int, nargs="+", default=[64, 256], help="box sizes in px")
    parser.add_argument("--batch", type=int, default=8, help="pairs in a batch")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed, of each")
    parser.add_argument("--block", type=int, default=10, help="steps in a turn; one of them is logged")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="processor: what this process uses, for a machine that has other work (on the CPU, one thread)",
    )
    parser.add_argument("--device", default="cpu", help="where both train, as torch names it")
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("goals: ratio at most 1.10; RPSD's share under 5 % at 256 px")
    print("box/px  step/ms (ours)  step/ms (bare)  ratio      over turns  RPSD/ms  RPSD/step  weights apart")
    for box in arguments.box:
        print(measure(box, arguments), flush=True)


if __name__ == "__main__":
    main()
