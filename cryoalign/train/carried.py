"""What a checkpoint carries besides Lightning's: random states, the configuration, the last validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


class Validation(NamedTuple):
    """A validation: the step after which it was, and its values by name."""

    step: int
    values: dict[str, float]


@dataclass
class Carried:
    """Plain values and tensors that a run is continued with.

    Attributes
    ----------
    configuration : str
        The run's configuration as text; a checkpoint of another is refused.
    validation : Validation, optional
        The last one.
    """

    configuration: str
    validation: Validation | None = None
    _random: dict[str, Any] | None = None

    def state(self, *, ended_early: bool) -> dict[str, Any]:
        """Return what a checkpoint gets.

        Parameters
        ----------
        ended_early : bool
            Whether a callback has ended the training before its last step.
        """
        return {
            "configuration": self.configuration,
            "random": self._random or _capture(),
            "validation": None if self.validation is None else self.validation._asdict(),
            "ended_early": ended_early,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what a checkpoint has; the random states are kept until training begins, as what runs before
        then draws numbers too.
        """
        self._random = state["random"]
        last = state.get("validation")
        self.validation = None if last is None else Validation(**last)

    def continue_random_streams(self) -> None:
        """Set the random states to those of the checkpoint, if there was one."""
        if self._random is not None:
            _restore(self._random)
            self._random = None

    def is_validated(self, step: int) -> bool:
        """Return whether the last validation was after this step."""
        return self.validation is not None and self.validation.step == step


def _capture() -> dict[str, Any]:
    """Return the states of torch's generators on the CPU and on every CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore(state: dict[str, Any]) -> None:
    """Set the generators to captured states; those of CUDA only where there are as many devices as then."""
    torch.set_rng_state(state["cpu"].cpu())
    cuda = state["cuda"]
    if cuda and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([device.cpu() for device in cuda])
