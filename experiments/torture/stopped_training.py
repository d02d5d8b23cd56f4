"""Stop a training by SIGTERM again and again, restart it until it is done, and compare with one in one go.

It is stopped in the imports, behind every 20th step, once in a validation and once in the test. The weights,
the optimizers, the log and the fakes of the test have to be those of the unbroken run, byte for byte.

    python experiments/torture/stopped_training.py [WORKERS]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS, EVERY = 100, 20
MOMENTS = (
    "imports",
    "step 20",
    "validation 25",
    *(f"step {n}" for n in range(40, STEPS + 1, EVERY)),
    "test",
    "never",
)
OPTIONS = (
    "data.embedded.box=32", "data.embedded.particles=60", "data.embedded.micrographs=10", "data.batch_size=4",
    "trainer=cpu", "trainer.enable_progress_bar=false", "generator.width=8", "discriminator.width=8",
    "generator.dropout=0.2", "generator.noise_channels=1", "optimizer.ema_decay=0.9",
    f"trainer.max_steps={STEPS}", "trainer.val_check_interval=25", "log_every=1",
    "callbacks.figures.every=50", "audit=off", "threads=1", "seed=1",
)  # fmt: skip


def train(moment: str) -> None:
    """Run ``cryoalign train`` with this process's arguments, and send it SIGTERM at a moment."""
    if moment == "imports":
        threading.Timer(1.0, terminate).start()
    import cryoalign.train.__main__ as command  # noqa: PLC0415  the imports are one of the moments
    from cryoalign.train.system import PairedGAN  # noqa: PLC0415
    from cryoalign.train.test import _Seen  # noqa: PLC0415

    kind, _, number = moment.partition(" ")
    if kind == "step":
        PairedGAN.training_step = followed(PairedGAN.training_step, int(number))  # type: ignore[method-assign]
    elif kind == "validation":
        PairedGAN.validation_step = followed(PairedGAN.validation_step, int(number))  # type: ignore[method-assign]
    elif kind == "test":
        _Seen.write = followed(_Seen.write, None)  # type: ignore[method-assign]
    command.main()


def followed(method: Callable[..., Any], step: int | None) -> Callable[..., Any]:
    """Return a method that is followed by SIGTERM, at one step of the training."""

    def call(self: Any, *arguments: Any) -> None:
        method(self, *arguments)
        if step is None or self.global_step == step:
            terminate()

    return call


def terminate() -> None:
    """Send SIGTERM to this process."""
    os.kill(os.getpid(), signal.SIGTERM)


def start(moment: str, *arguments: str) -> int:
    """Run a training in a process of its own; return the exit code as a shell has it."""
    command = [sys.executable, __file__, moment, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode not in {0, 143, -signal.SIGTERM}:
        print(done.stderr)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def differences(one: Path, two: Path) -> list[str]:
    """Name what differs between two runs."""
    import torch  # noqa: PLC0415  what only starts others needs none

    found: list[str] = []
    for name in ("last", "best"):
        states = [torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for run in (one, two)]
        parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step")
        found += [f"{name}.ckpt: {part}" for part in parts if not same(*(state[part] for state in states))]
    files = ("csv/metrics.csv", "test/fake.mrcs", "test/metrics.json")
    return found + [file for file in files if (one / file).read_bytes() != (two / file).read_bytes()]


def same(one: Any, two: Any) -> bool:
    """Compare nested containers of tensors and plain values."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool((one == two).all()) if hasattr(one, "all") else bool(one == two)


def main(workers: int) -> int:
    """Run both, print what happened, and return the exit code."""
    with tempfile.TemporaryDirectory() as place:
        whole, stopped = Path(place) / "whole", Path(place) / "stopped"
        options = (*OPTIONS, f"data.workers={workers}", f"paths.cache={place}/cache")
        if start("never", *options, f"hydra.run.dir={whole}"):
            return 1
        wrong = 0
        print("| stopped in | exit code | step of last.ckpt | s |\n|---|---|---|---|")
        for moment in MOMENTS:
            begun = (stopped / "checkpoints").is_dir()
            arguments = [f"resume={stopped}"] if begun else [*options, f"hydra.run.dir={stopped}"]
            since = time.monotonic()
            code = start(moment, *arguments)
            print(f"| {moment} | {code} | {step_of(stopped)} | {time.monotonic() - since:.0f} |", flush=True)
            wrong += code != (0 if moment == "never" else 143)
        differing = differences(whole, stopped)
    print(f"\n{len(MOMENTS)} starts, {wrong} wrong exit codes; differs: {', '.join(differing) or 'nothing'}")
    return int(bool(wrong or differing))


def step_of(run: Path) -> str:
    """Return the step of a run's last checkpoint."""
    import torch  # noqa: PLC0415

    last = run / "checkpoints" / "last.ckpt"
    return str(torch.load(last, weights_only=True)["global_step"]) if last.is_file() else "-"


if __name__ == "__main__":
    first = sys.argv[1] if len(sys.argv) > 1 else "0"
    if first in MOMENTS:
        del sys.argv[1]
        train(first)
    else:
        sys.exit(main(int(first)))
