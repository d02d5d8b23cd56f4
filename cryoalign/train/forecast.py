"""When a training will end, said once its first steps are made."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import TQDMProgressBar

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

_FIRST, _MEASURED = 2, 10  # steps that are slower than others, and steps that are measured
_SHORTEST = 60.0  # seconds for which nobody needs to plan

_log = logging.getLogger(__name__)


class Forecast(Callback):
    """Print when the last step will be made, if that is not soon."""

    def __init__(self) -> None:
        self._steps, self._last, self._begun = 0, -1, 0.0

    def on_train_start(self, trainer: Trainer, *_: object) -> None:
        """Begin to count, with the first step or where a run is continued."""
        self._steps, self._last = 0, trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Measure some steps, and print the line behind them."""
        if trainer.global_step == self._last or self._steps > _FIRST + _MEASURED:
            return  # the step is not whole, or all is said
        self._last = trainer.global_step
        self._steps += 1
        if self._steps == _FIRST:
            self._begun = time.monotonic()
        elif self._steps == _FIRST + _MEASURED:
            self._steps += 1
            seconds = (time.monotonic() - self._begun) / _MEASURED
            line = forecast(seconds, trainer.max_steps - trainer.global_step, datetime.now().astimezone())
            if line and trainer.is_global_zero:
                _print(trainer, line)


def forecast(seconds: float, steps: int, now: datetime) -> str:
    """Return the line that names the end of a training, or nothing if that is near.

    Parameters
    ----------
    seconds : float
        That a step takes.
    steps : int
        That are left.
    now : datetime

    Examples
    --------
    >>> forecast(1.5, 2400, datetime(2026, 1, 31, 22, 30))
    'ends        about 2026-01-31 23:30, in 1:00:00: 2400 steps of 1.50 s, and the validations'
    """
    left = timedelta(seconds=round(seconds * steps))
    if left.total_seconds() < _SHORTEST:
        return ""
    end = f"{now + left:%Y-%m-%d %H:%M}"
    return f"ends        about {end}, in {left}: {steps} steps of {seconds:.2f} s, and the validations"


def _print(trainer: Trainer, line: str) -> None:
    """Print a line, above the progress bar where there is one."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, TQDMProgressBar):
        bar.print(line, file=sys.stderr)
    else:
        _log.info(line)
