"""Jobs that cannot go on: each says so where it stops, once, and a sweep goes on with the others."""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from omegaconf import DictConfig

#: Hydra's own, which run one job after the other in this process and use nothing of what it returns.
_PLAIN = ("BasicLauncher", "BasicSweeper")


class CommandError(CompactHydraException):
    """An error whose message alone is printed, and that does not stop the other jobs of a sweep."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Jobs:
    """The jobs of a command.

    Hydra prints all arguments before it raises the error of a job, and of a sweep only the first. So that
    error ends the command at once; in a sweep it is printed with the job that it belongs to. Launchers and
    sweepers of others learn of it as Hydra means it.

    Attributes
    ----------
    failed : dict of int to int
        Numbers of those that could not go on, and the exit code of their errors.
    """

    failed: dict[int, int] = field(default_factory=dict)

    def say(self, task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
        """Return the task with its errors said."""

        @functools.wraps(task)
        def job(cfg: DictConfig) -> Any:
            try:
                return task(cfg)
            except CommandError as error:
                hydra_cfg = HydraConfig.get()
                if hydra_cfg.mode == RunMode.RUN:
                    exit_with(str(error), error.code)
                if not all(
                    part["_target_"].endswith(plain)
                    for part, plain in zip((hydra_cfg.launcher, hydra_cfg.sweeper), _PLAIN, strict=True)
                ):
                    raise
                number = int(hydra_cfg.job.num)
                sys.stderr.write(f"error in job #{number}: {error}\n")
                self.failed[number] = error.code
                return math.nan

        return job

    def end(self) -> None:
        """Exit where one of them could not go on, with the largest of their codes."""
        if self.failed:
            what = "a job" if len(self.failed) == 1 else f"{len(self.failed)} jobs"
            names = ", ".join(f"#{number}" for number in self.failed)
            exit_with(f"{what} of the sweep failed: {names}", max(self.failed.values()))


def exit_with(message: str, code: int = 1) -> NoReturn:
    """End the command with an error."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
