"""Runs that differ in their seed alone are one arm; arms are named by what differs between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cryoalign.report.differences import differences, naming_keys, shortened
from cryoalign.runs.names import class_name, run_name, short_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoalign.report.run_result import RunResult

_LABEL = 44  # characters of an arm's name in a legend


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone.

    Attributes
    ----------
    letter : str
        A, B, ...
    name : str
        What sets it apart: ``rpsd=0.5``; empty for a single arm.
    settings : dict of str to str
        Value of every key that differs between arms.
    runs : tuple of RunResult
    """

    letter: str
    name: str
    settings: dict[str, str]
    runs: tuple[RunResult, ...]

    def run_name(self, run: RunResult) -> str:
        """Name a run of the arm: ``rpsd=0.5,seed=2``."""
        seed = f"seed={run.seed}"
        return f"{self.name},{seed}" if self.name else seed


@dataclass(frozen=True)
class Comparison:
    """Arms, and the keys in which they differ.

    Attributes
    ----------
    arms : tuple of Arm
    names : dict of str to str
        Short name of every key that differs, by its full one.
    naming : tuple of str
        Those of the keys by which an arm is named, in the order of `names`.
    """

    arms: tuple[Arm, ...]
    names: dict[str, str]
    naming: tuple[str, ...]

    @property
    def runs(self) -> list[RunResult]:
        """The runs of all arms, arm by arm."""
        return [run for arm in self.arms for run in arm.runs]

    @property
    def same_images(self) -> bool:
        """Whether all runs were tested on the same images."""
        return len({run.images for run in self.runs}) == 1

    def label(self, arm: Arm) -> str:
        """Name an arm in a legend.

        Parameters
        ----------
        arm : Arm

        Returns
        -------
        str
            Letter and name; of all arms the letter alone where one of the names is too long.
        """
        texts = {entry.letter: f"{entry.letter}: {entry.name or 'all runs'}" for entry in self.arms}
        return f"arm {arm.letter}" if max(map(len, texts.values())) > _LABEL else texts[arm.letter]


def compare(runs: Sequence[RunResult]) -> Comparison:
    """Group runs into arms.

    Parameters
    ----------
    runs : sequence of RunResult

    Returns
    -------
    Comparison
        Arms in the order of their first run.
    """
    every = list(dict.fromkeys(key for run in runs for key in run.config))
    table = differences(runs)
    keys = [str(key) for key in table.columns]
    number = table.groupby(keys, sort=False).ngroup() if keys else pd.Series(0, index=table.index)
    values = table.map(class_name).assign(letter=number.map(_letter)).drop_duplicates("letter")
    values = values.set_index("letter")
    naming = {str(letter): naming_keys(values, str(letter)) for letter in values.index}
    arms = [
        Arm(
            letter,
            run_name({key: shortened(str(values.loc[letter, key]), key) for key in chosen}, every),
            {key: str(values.loc[letter, key]) for key in keys},
            tuple(runs[row] for row in table.index[number.map(_letter) == letter]),
        )
        for letter, chosen in naming.items()
    ]
    named = {key for chosen in naming.values() for key in chosen}
    return Comparison(tuple(arms), short_names(keys, every), tuple(key for key in keys if key in named))


def _letter(place: int) -> str:
    turn, letter = divmod(place, 26)
    return (_letter(turn - 1) if turn else "") + chr(ord("A") + letter)
