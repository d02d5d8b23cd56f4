"""Whether a part of the model is kept: if it adds to the likelihood of micrographs that were held out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.errors import choice

#: Groups below which nothing is held out.
FEWEST_GROUPS = 4

_LARGE = 100  # from here on numbers are written without decimals


class Verdict(NamedTuple):
    """Whether a part is kept, and why.

    Attributes
    ----------
    kept : bool
    nats : float
        Gain in log-likelihood of groups that were held out, summed; NaN where none were.
    error : float
        Its standard error.
    """

    kept: bool
    nats: float = math.nan
    error: float = math.nan

    def description(self, setting: bool | str) -> str:
        """Describe the verdict in a few words.

        Parameters
        ----------
        setting : bool or str
            What was asked for.
        """
        kept = "kept" if self.kept else "left out"
        if setting is not False and self == NOTHING:
            return f"{kept} (nothing of the kind was found)"
        if setting != "auto":
            return f"{kept}, as asked for"
        if math.isnan(self.nats):
            return f"{kept} (too few groups to hold some out)"
        why = ""
        if not self.kept and self.nats > 0:
            enough = self.nats > 2 * self.error
            why = ", but too weak to be told from the noise" if enough else ", less than twice the error"
        gain = f"{self.nats:+,.0f}" if abs(self.nats) >= _LARGE else f"{self.nats:+.3g}"
        error = f"{self.error:,.0f}" if self.error >= _LARGE else f"{self.error:.2g}"
        return f"{kept} ({gain} +- {error} nats in held-out groups{why})"


#: Of a part of which there is no trace.
NOTHING = Verdict(kept=False, nats=0.0, error=0.0)


def checked_setting(name: str, value: object) -> bool | str:
    """Return what was asked for of a part: True, False or ``auto``.

    Raises
    ------
    InputError
        If it is anything else.
    """
    known: tuple[bool | str, ...] = ("auto", True, False)
    # 1 is equal to True, but is not taken for it where settings are compared
    given = value if isinstance(value, bool | str) else str(value)
    return choice(f"generator.{name}", given, known)


def decide(setting: bool | str, gains: Tensor, *, default: bool = True, needed: bool = True) -> Verdict:
    """Decide on a part.

    Parameters
    ----------
    setting : bool or str
        True and False decide alone; ``auto`` keeps the part if it gains more than twice the standard error.
    gains : (F,) tensor
        What the part adds to the log-likelihood of each fold of groups, fitted without it.
    default : bool
        Of ``auto``, with fewer than four folds.
    needed : bool
        False if another rule has decided against the part already.

    Returns
    -------
    Verdict
    """
    if len(gains) < FEWEST_GROUPS:
        return Verdict(setting is True or (setting == "auto" and default and needed))
    nats, error = float(gains.sum()), float(gains.double().std()) * math.sqrt(len(gains))
    kept = nats > 2 * error and nats > 0 and needed
    return Verdict(setting is True or (setting == "auto" and kept), nats, error)


def fold_sums(values: Tensor, fold: Tensor, folds: int) -> Tensor:
    """Add up values by fold, and leave out the folds that have none.

    Parameters
    ----------
    values : (n,) tensor
    fold : (n,) int64 tensor
    folds : int
        Number of folds.

    Returns
    -------
    (F,) float64 tensor
    """
    sums = torch.zeros(folds, dtype=torch.float64).index_add_(0, fold, values.double())
    return sums[torch.bincount(fold, minlength=folds) > 0]
