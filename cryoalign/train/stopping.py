"""A training that is told to stop before its last step: by SIGTERM, or because its time is up.

It ends with a step, writes a checkpoint of it, and does not validate: what was due is made up for when the
run is continued, so that a training that is stopped again and again does what an unbroken one does.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, cast

import torch
from lightning.pytorch.callbacks import Checkpoint, Timer

from cryoalign.cli.termination import terminate
from cryoalign.train.loggers import first_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightning.pytorch import LightningModule, Trainer

    from cryoalign.train.system import PairedGAN

SIGTERM, TIME = "SIGTERM", "trainer.max_time is over"
_REASONS = ("", TIME, SIGTERM)


class Stopped(Exception):  # noqa: N818  it is what was asked for
    """A training stopped before its last step; ``last.ckpt`` is of the step that it stopped at."""

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(f"stopped at step {step}: {reason}")
        self.reason, self.step = reason, step


class Termination:
    """What SIGTERM does: an exit at once, but while steps are made one at the end of the step.

    Attributes
    ----------
    came : bool
        Whether there was a SIGTERM.
    """

    def __init__(self) -> None:
        self.came, self._waits = False, False

    def __call__(self, *_: object) -> None:
        """Handle the signal."""
        self.came = True
        if not self._waits:
            self.exit()

    def listen(self) -> None:
        """Handle the signal from now on, whoever did before."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self)

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Leave it to the block to end when it can; exit behind it if it did not."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.came:
            self.exit()

    def exit(self) -> NoReturn:
        """End the process: with 143, or with 0 if it is not the first of several.

        Lightning kills the first, in mid-sentence, when another ends with an error.
        """
        if first_process():
            terminate()
        raise SystemExit(0)


@contextmanager
def terminations() -> Iterator[Termination]:
    """Have SIGTERM handled while the block runs."""
    termination, before = Termination(), signal.getsignal(signal.SIGTERM)
    termination.listen()
    try:
        yield termination
    finally:
        if signal.getsignal(signal.SIGTERM) is termination:
            signal.signal(signal.SIGTERM, before)


class Stopping(Checkpoint):
    """Stop at the end of a step where that is wanted; begin with what an earlier stop left out of validation.

    Parameters
    ----------
    termination : Termination
    last : Path
        The checkpoint to write.
    max_steps : int
        Of the training.
    validate_every : int
        Steps from one validation to the next.
    max_time : str, optional
        ``DD:HH:MM:SS`` from the first step, whether that is the run's first or one that it is continued from.
    """

    def __init__(
        self,
        termination: Termination,
        last: Path,
        *,
        max_steps: int,
        validate_every: int,
        max_time: str | None,
    ) -> None:
        self.termination, self.last = termination, last
        self.max_steps, self.validate_every = max_steps, validate_every
        self._clock = Timer(max_time)  # as a callback of its own it would go on counting in a continued run
        self._batches_of_all = 0
        self.begun = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and validate if an earlier stop left that out."""
        self.begun = True
        self.termination.listen()  # Lightning has put a handler there that waits for the other processes
        self._clock.on_train_start(trainer, pl_module)
        system, step = cast("PairedGAN", pl_module), trainer.global_step
        ended = step >= self.max_steps
        if step and (ended or step % self.validate_every == 0) and not system.carried.is_validated(step):
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop.restarting = False  # from its first batch
            trainer.validating = True
            loop.run()
            trainer.training = True
        if ended:
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: object) -> None:
        """Stop behind the last batch of a step."""
        _, _, batch_idx = cast("tuple[object, object, int]", rest)
        if (batch_idx + 1) % cast("PairedGAN", pl_module).accumulate == 0:
            self._stop_if_wanted(trainer)

    def on_validation_start(self, trainer: Trainer, *_: object) -> None:
        """Find out how many batches every process has: behind them no process may wait for another."""
        (mine,) = trainer.num_val_batches
        self._batches_of_all = _agreed(trainer, int(mine), torch.distributed.ReduceOp.MIN)

    def on_validation_batch_end(self, trainer: Trainer, _: object, *rest: object) -> None:
        """Stop in mid-validation."""
        _outputs, _batch, batch_idx, *_others = rest
        if cast("int", batch_idx) < self._batches_of_all:
            self._stop_if_wanted(trainer)

    def _stop_if_wanted(self, trainer: Trainer) -> None:
        """Stop if one of the processes was told to."""
        step, left = trainer.global_step, self._clock.time_remaining()
        reason = SIGTERM if self.termination.came else ""
        if not reason and left is not None and left <= 0 and step < self.max_steps:
            reason = TIME
        reason = _REASONS[_agreed(trainer, _REASONS.index(reason), torch.distributed.ReduceOp.MAX)]
        if reason:
            trainer.save_checkpoint(self.last)
            raise Stopped(reason, step)


def _agreed(trainer: Trainer, number: int, operation: torch.distributed.ReduceOp.RedOpType) -> int:
    """Return the largest or the smallest of the numbers that all processes have."""
    if trainer.world_size == 1:
        return number
    found = torch.tensor(number, device=trainer.strategy.root_device)
    torch.distributed.all_reduce(found, op=operation)
    return int(found)
