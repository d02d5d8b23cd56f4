"""In which keys runs differ, as far as that changes what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cryoalign.report.run_result import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoalign.report.run_result import RunResult

#: Keys that change no result, or only name places. Of the callbacks, only early stopping changes one.
_IRRELEVANT = (
    "seed",
    "data.seed",
    "resume",
    "threads",
    "audit",
    "test",
    "data.workers",
    "data.check",
    "optimizer.algorithm.fused",
)
_IRRELEVANT_GROUPS = ("paths.", "logger.", "callbacks.", "speed.")
_EARLY_STOPPING = "callbacks.early_stopping."
_IRRELEVANT_ENDS = ("enable_progress_bar", "data.folder", "data.root")
#: Keys that name the data; no difference where the files themselves are the same.
_DATA = ("data.sim", "data.raw", "data.passthrough", "data.split.file")
_MEASUREMENT = "data.raw"
#: Keys that follow another one where they are not given.
_FOLLOWS = {"optimizer.decay_end": "trainer.max_steps"}
_PATH_PARTS = 2  # of a file's path, in a name


def differences(runs: Sequence[RunResult]) -> pd.DataFrame:
    """Return the keys that differ between runs.

    Parameters
    ----------
    runs : sequence of RunResult

    Returns
    -------
    DataFrame
        A row a run, a column a key; a key that a run does not have is `ABSENT`.
    """
    table = pd.DataFrame([run.config for run in runs]).fillna(ABSENT)
    same_data = len({run.files for run in runs}) == 1 and bool(runs[0].files)
    keys = [key for key in table.columns if not _is_irrelevant(key, same_data=same_data)]
    return table[[key for key in keys if len(set(table[key])) > 1]]


def _is_irrelevant(key: str, *, same_data: bool) -> bool:
    if key.startswith(_EARLY_STOPPING):
        return False
    fixed = key in _IRRELEVANT or key.startswith(_IRRELEVANT_GROUPS) or key.endswith(_IRRELEVANT_ENDS)
    return fixed or (same_data and key in _DATA)


def naming_keys(arms: pd.DataFrame, letter: str) -> list[str]:
    """Choose the keys by which an arm is named.

    A key that always goes with the class it belongs to is left out (``generator.noise_channels`` with
    ``generator._target_``), and so is what always goes with the measurement, or follows another key.

    Parameters
    ----------
    arms : DataFrame
        A row an arm, by its letter, and a column a key that differs.
    letter : str
        Of the arm.

    Returns
    -------
    list of str
        Classes first.
    """
    implied: set[str] = set()
    for key in arms.columns:
        owners = [owner for owner in _owners(key) if owner in arms.columns and owner not in implied]
        if any(_is_implied(arms, key, owner, letter) for owner in owners):
            implied.add(key)
    kept = [key for key in arms.columns if key not in implied]
    present = [key for key in kept if arms.loc[letter, key] != ABSENT] or kept
    return sorted(present, key=lambda key: not key.endswith("._target_"))


def _is_implied(arms: pd.DataFrame, key: str, owner: str, letter: str) -> bool:
    """Whether all arms with this one's value of `owner` have its value of `key` too."""
    value = arms.loc[letter, owner]
    return value != ABSENT and len(set(arms.loc[arms[owner] == value, key])) == 1


def _owners(key: str) -> list[str]:
    """Keys that may imply this one: the measurement, what it follows, and the classes it belongs to."""
    parts = key.removesuffix("._target_").split(".")
    classes = [".".join(parts[:count]) + "._target_" for count in range(1, len(parts) + 1)]
    measurement = [_MEASUREMENT] if key.startswith("data.") else []
    followed = [_FOLLOWS[key]] if key in _FOLLOWS else []
    return [owner for owner in (*measurement, *followed, *classes) if owner != key]


def shortened(value: str, key: str) -> str:
    """Shorten a file's path to its last parts."""
    return "/".join(value.split("/")[-_PATH_PARTS:]) if key in _DATA else value
