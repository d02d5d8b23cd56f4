"""A training that is told to stop before its last step: by a signal, or because its time is up.

The signal is SIGTERM. In a job of submitit's it is the one by which SLURM announces the end, SIGUSR2:
submitit then queues the job again, which goes on in its folder; and submitit ignores SIGTERM.

It ends with a step, writes a checkpoint of it, and does not validate: what was due is made up for when the
run is continued, so that a training that is stopped again and again does what an unbroken one does.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast

import torch
from lightning.pytorch.callbacks import Checkpoint, Timer

from cryoalign.cli.started import in_submitit
from cryoalign.cli.termination import terminate
from cryoalign.errors import InputError
from cryoalign.reading import first_line
from cryoalign.train.loggers import first_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from lightning.pytorch import LightningModule, Trainer

    from cryoalign.train.system import PairedGAN

    _Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

TIME = "trainer.max_time is over"
#: submitit's own setting of the signal.
_PREEMPTION = f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"
_REASONS = ("", TIME, "SIGTERM", _PREEMPTION)


class Stopped(Exception):  # noqa: N818  it is what was asked for
    """A training stopped before its last step; ``last.ckpt`` is of the step that it stopped at."""

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(f"stopped at step {step}: {reason}")
        self.reason, self.step = reason, step


class Termination:
    """What the signal does: an exit at once, but while steps are made one at the end of the step.

    Attributes
    ----------
    came : bool
        Whether there was one.
    name : str
        Of the signal.
    """

    def __init__(self) -> None:
        self.came, self._waits = False, False
        self.name = _PREEMPTION if in_submitit() else "SIGTERM"
        self.handlers_before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, self.number)}

    @property
    def number(self) -> signal.Signals:
        """The signal."""
        return signal.Signals[self.name]

    def __call__(self, *_: object) -> None:
        """Handle the signal."""
        self.came = True
        if not self._waits:
            self.exit()

    def listen(self) -> None:
        """Handle the signal from now on, whoever did before."""
        self._handle(self.handlers_before | {self.number: self})

    def leave(self) -> None:
        """Leave the signal to whom it was left before."""
        current: object = signal.getsignal(self.number)
        if current is self:
            self._handle(self.handlers_before)

    def _handle(self, handlers: Mapping[signal.Signals, _Handler]) -> None:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in handlers.items():
                if handler is not None:  # one of another library's, which cannot be put back
                    signal.signal(signum, handler)

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
        """End the process: with 143, or as submitit does it; with 0 if it is not the first of several.

        Lightning kills the first, in mid-sentence, when another ends with an error.
        """
        if not first_process():
            raise SystemExit(0)
        if in_submitit():
            _queue_again(self.number, self.handlers_before[self.number])
        terminate()


def _queue_again(number: signal.Signals, submitit: _Handler) -> None:
    """Let submitit queue the job again, and end this process.

    Raises
    ------
    InputError
        If it does not, since the time was up too often.
    """
    try:
        if callable(submitit):
            submitit(number, None)
    except Exception as error:
        raise InputError(
            "the time of this job is up, and submitit does not queue it again",
            expected="hydra.launcher.timeout_min or max_num_timeout for the whole training",
            found=first_line(error),
            remedy="cryoalign train resume=RUN, with the job's folder in that of the sweep",
        ) from error


@contextmanager
def terminations() -> Iterator[Termination]:
    """Have the signal handled while the block runs."""
    termination = Termination()
    termination.listen()
    try:
        yield termination
    finally:
        termination.leave()


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
        self.termination.listen()  # Lightning has put handlers there that wait for the other processes
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
        reason = self.termination.name if self.termination.came else ""
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
