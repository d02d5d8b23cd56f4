"""Whether a training still has finite numbers: it ends at the first step whose loss or weight is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.utils import get_total_norm

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

_WEIGHTS = "a weight"


class NotFiniteError(InputError):
    """A training whose losses or weights are no longer finite; all its processes raise it at one step."""


def checked_fakes(fake: Tensor, folder: Path) -> Tensor:
    """Return fakes, or refuse those with values that are no numbers: the metrics would leave them out.

    Parameters
    ----------
    fake : (B, 1, N, N) tensor
    folder : Path
        Of the run.

    Raises
    ------
    InputError
        If there are any: other processes need not have them.
    """
    bad = (~fake.isfinite()).flatten(1).any(1)
    if bad.any():
        raise InputError(
            "fakes of the validation have values that are not finite",
            file=folder,
            expected="finite grey values",
            found=f"{int(bad.sum())} of {len(fake)} images of a batch",
            remedy="look at the pairs with cryoalign audit; "
            "train a network anew with a lower optimizer.algorithm.lr or optimizer.clip=1",
        )
    return fake


class Finite:
    """Note the first step with a number that is not finite, where it is computed, and ask for it when needed.

    To ask a GPU is to wait for it: between two rows of the log it is only asked before a checkpoint.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._first: Tensor | None = None

    @torch.no_grad()
    def note(self, step: int, values: Mapping[str, Tensor], weights: Iterable[Tensor]) -> None:
        """Look at a step that was just made.

        Parameters
        ----------
        step : int
            Its number, from 1.
        values : mapping of str to scalar tensor
            The same names at every step; those that begin with ``loss_`` are looked at.
        weights : iterable of Tensor
            As they are after the step, all on one device.
        """
        losses = {name: value for name, value in values.items() if name.startswith("loss_")}
        everything = list(weights)
        # of itself torch calls one operation for all weights on a GPU alone
        at_once = True if everything[0].device.type == "cpu" else None
        largest = get_total_norm(everything, norm_type=float("inf"), foreach=at_once)
        self._names = [*losses, _WEIGHTS]
        numbers = torch.stack([*(loss.float() for loss in losses.values()), largest.float()])
        found = torch.where(torch.isfinite(numbers), 0, step)
        self._first = found if self._first is None else torch.where(self._first.any(), self._first, found)

    def check(self, folder: Path) -> None:
        """Refuse to go on behind a step with a number that is not finite.

        Parameters
        ----------
        folder : Path
            Of the run, whose last checkpoint is named.

        Raises
        ------
        NotFiniteError
            If there was such a step.
        """
        steps = [] if self._first is None else self._first.tolist()
        if not any(steps):
            return
        bad = [name for name, step in zip(self._names, steps, strict=True) if step]
        last = folder / "checkpoints" / "last.ckpt"
        raise NotFiniteError(
            f"the training is no longer finite at step {max(steps)}: {', '.join(bad)}",
            file=folder,
            expected="finite losses and weights",
            found=f"the last good checkpoint is {last}" if last.is_file() else "it had no checkpoint before",
            remedy="train anew with a lower optimizer.algorithm.lr, with optimizer.clip=1, or with other "
            "loss.weights",
        )
