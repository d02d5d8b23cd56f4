"""Jobs that cannot go on: each says so where it stops, once, and a sweep goes on with the others."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from omegaconf import DictConfig

#: Hydra's own, which run one job after the other in this process and use nothing of what it returns.
_PLAIN = ("BasicLauncher", "BasicSweeper")
#: What sweepers and launchers raise of what a user can mend.
_REFUSALS = {
    "Record does not exist": InputError(
        "no trial of the search came to an end",
        remedy="see the errors above; then give the command again",
    ),
    'Could not detect "srun"': InputError(
        "there is no srun on this machine",
        expected="a machine of the cluster that submits jobs",
        remedy="log in there, or give hydra/launcher=submitit_local",
    ),
}


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

    def said(self, task: Callable[[DictConfig], Any], cfg: DictConfig) -> Any:
        """Return what the task returns, with its error said."""
        try:
            return task(cfg)
        except CommandError as error:
            hydra_cfg = HydraConfig.get()
            if hydra_cfg.mode == RunMode.RUN:
                exit_with(str(error), error.code)
            number = int(hydra_cfg.job.num)
            sys.stderr.write(f"error in job #{number}: {error}\n")
            if _runs_plainly(hydra_cfg.launcher, hydra_cfg.sweeper):
                self.failed[number] = error.code
                return math.nan
            raise CommandError(f"job #{number} of the sweep failed: {error}", error.code) from None

    def end(self) -> None:
        """Exit where one of them could not go on, with the largest of their codes."""
        if self.failed:
            what = "a job" if len(self.failed) == 1 else f"{len(self.failed)} jobs"
            names = ", ".join(f"#{number}" for number in self.failed)
            exit_with(f"{what} of the sweep failed: {names}", max(self.failed.values()))


def runs_here() -> bool:
    """Return whether the job runs in the process of the command, one job after the other."""
    return not HydraConfig.initialized() or _runs_plainly(HydraConfig.get().launcher)


def _runs_plainly(*parts: DictConfig) -> bool:
    return all(part["_target_"].endswith(_PLAIN) for part in parts)


def explain_sweep(error: Exception) -> str | None:
    """Return what the user can do about an error of a launcher or a sweeper; None where that is not known."""
    for text, refusal in _REFUSALS.items():
        if text in str(error):
            return str(refusal)
    return None


def exit_with(message: str, code: int = 1) -> NoReturn:
    """End the command with an error."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
