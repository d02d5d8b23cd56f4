"""Runs that differ in their seed alone are one arm; what differs between arms, and the spread within them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from cryoalign.report.run_result import ABSENT, RunResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MEASURES = {
    "RPSD_L1": "RPSD L1",
    "RPSD_excess": "RPSD excess",
    "RPSD_MSE": "RPSD MSE",
    "pixel_L1": "pixel L1",
    "pixel_MSE": "pixel MSE",
    "ring_correlation": "ring correlation",
}
"""What the table shows of a test; the excess is RPSD L1 over that of another raw image."""

REFERENCES = {"sim_": "sim", "floor_": "other raw"}
"""Prefixes of what a test measures beside the fake: sim as it is, and another raw image, the floor."""

#: Keys that change no result, or only name places.
_NO_MATTER = ("seed", "data.seed", "resume", "threads", "audit", "test", "data.workers", "data.check")
_NO_MATTER_GROUPS = ("paths.", "logger.", "callbacks.")
_NO_MATTER_ENDS = ("enable_progress_bar", "data.folder", "data.root")
#: Keys that name the data; no difference where the files themselves are the same.
_DATA = ("data.sim", "data.raw", "data.passthrough", "data.split.file")

#: Where the measurement differs, whatever else of the data goes with it need not be named.
_MEASUREMENT = "data.raw"

_LABEL = 44  # characters of an arm's name in a legend
_PATH_PARTS = 2  # of a file's path, in an arm's name


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone.

    Attributes
    ----------
    letter : str
        A, B, ...
    values : dict of str to str
        Value of every key that differs between arms.
    runs : tuple of RunResult
    """

    letter: str
    values: dict[str, str]
    runs: tuple[RunResult, ...]


@dataclass(frozen=True)
class Comparison:
    """Arms, and the keys that tell them apart.

    Attributes
    ----------
    arms : list of Arm
    names : dict of str to str
        Short name of every key that differs, by its full one.
    notes : list of str
        What a reader has to know before believing a difference.
    """

    arms: list[Arm]
    names: dict[str, str]
    notes: list[str]

    def telling(self, arm: Arm) -> list[str]:
        """Return the keys by which an arm is named.

        A key that always goes with the class it belongs to is left out (``generator.noise_channels`` beside
        ``generator._target_``), and so is what always goes with the measurement.

        Parameters
        ----------
        arm : Arm

        Returns
        -------
        list of str
            Classes first.
        """
        gone: set[str] = set()
        for key in self.names:
            anchors = [anchor for anchor in _anchors(key) if anchor in self.names and anchor not in gone]
            if any(self._goes_with(key, anchor, arm) for anchor in anchors):
                gone.add(key)
        kept = [key for key in self.names if key not in gone]
        known = [key for key in kept if arm.values[key] != ABSENT] or kept
        return sorted(known, key=lambda key: not key.endswith("._target_"))

    def name(self, arm: Arm) -> str:
        """Describe what sets an arm apart.

        Parameters
        ----------
        arm : Arm

        Returns
        -------
        str
        """
        pairs = [f"{self.names[key]}={_short(arm.values[key], key)}" for key in self.telling(arm)]
        return ", ".join(pairs) or "all runs"

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
        texts = {entry.letter: f"{entry.letter}: {self.name(entry)}" for entry in self.arms}
        return f"arm {arm.letter}" if max(map(len, texts.values())) > _LABEL else texts[arm.letter]

    def _goes_with(self, key: str, anchor: str, arm: Arm) -> bool:
        """Whether all arms with this one's value of `anchor` have its value of `key` too."""
        value = arm.values[anchor]
        alike = {entry.values[key] for entry in self.arms if entry.values[anchor] == value}
        return value != ABSENT and len(alike) == 1


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
    same_data = len({run.files for run in runs}) == 1 and bool(runs[0].files)
    every = list(dict.fromkeys(key for run in runs for key in run.config))
    keys = [
        key
        for key in every
        if not _no_matter(key, same_data=same_data) and len({run.config.get(key, ABSENT) for run in runs}) > 1
    ]
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        groups.setdefault(tuple(run.config.get(key, ABSENT) for key in keys), []).append(run)
    arms = [
        Arm(_letter(place), dict(zip(keys, map(_bare, values), strict=True)), tuple(members))
        for place, (values, members) in enumerate(groups.items())
    ]
    return Comparison(arms, short_names(keys, every), list(_notes(arms, runs)))


def short_names(keys: Iterable[str], every: Iterable[str]) -> dict[str, str]:
    """Name keys by as few of their last parts as tell them apart from all others, but at least two.

    Parameters
    ----------
    keys : iterable of str
        To be named.
    every : iterable of str
        All keys of the configurations.

    Returns
    -------
    dict of str to str
        ``loss.weights.rpsd`` becomes ``weights.rpsd``; a ``_target_`` is named by what it makes.
    """
    known = [key.removesuffix("._target_") for key in every]
    names = {}
    for key in keys:
        plain = key.removesuffix("._target_")
        parts = plain.split(".")
        ends = (".".join(parts[-count:]) for count in range(min(2, len(parts)), len(parts) + 1))
        names[key] = next(
            (end for end in ends if sum(other == end or other.endswith(f".{end}") for other in known) == 1),
            plain,
        )
    return names


def measured(run: RunResult, name: str) -> float | None:
    """Return a number of a run's test.

    Parameters
    ----------
    run : RunResult
    name : str
        A metric, with its prefix, or the excess.

    Returns
    -------
    float or None
        None where it was not measured.
    """
    if not name.endswith("RPSD_excess"):
        return run.metrics.get(name)
    above, below = (run.metrics.get(key) for key in (name.replace("excess", "L1"), "floor_RPSD_L1"))
    return above / below if above is not None and below else None


def spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation over runs.

    Parameters
    ----------
    values : sequence of float or None
        None where a run did not measure it.

    Returns
    -------
    mean, deviation : float or None
        The deviation is that of a sample, None for a single run.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    if not all(math.isfinite(value) for value in known):
        return math.nan, None
    return fmean(known), stdev(known) if len(known) > 1 else None


def _no_matter(key: str, *, same_data: bool) -> bool:
    fixed = key in _NO_MATTER or key.startswith(_NO_MATTER_GROUPS) or key.endswith(_NO_MATTER_ENDS)
    return fixed or (same_data and key in _DATA)


def _bare(value: str) -> str:
    """Name a class without its module."""
    return value.rpartition(".")[2] if value.startswith(("cryoalign.", "torch.", "lightning.")) else value


def _anchors(key: str) -> list[str]:
    """Keys that may tell all that this one does: the classes it belongs to, and the measurement."""
    parts = key.removesuffix("._target_").split(".")
    classes = [".".join(parts[:count]) + "._target_" for count in range(1, len(parts) + 1)]
    measurement = [_MEASUREMENT] if key.startswith("data.") else []
    return [anchor for anchor in (*measurement, *classes) if anchor != key]


def _short(value: str, key: str) -> str:
    """Shorten a file's path to its last parts."""
    return "/".join(value.split("/")[-_PATH_PARTS:]) if key in _DATA else value


def _letter(place: int) -> str:
    turn, letter = divmod(place, 26)
    return (_letter(turn - 1) if turn else "") + chr(ord("A") + letter)


def _notes(arms: list[Arm], runs: Sequence[RunResult]) -> Iterable[str]:
    if len(runs) == 1:
        yield "There is one run only: nothing to compare it with."
    elif len(arms) > 1 and any(len(arm.runs) == 1 for arm in arms):
        letters = ", ".join(arm.letter for arm in arms if len(arm.runs) == 1)
        yield f"One seed only: {letters}. Without a second, a difference may be chance: give seed=1,2,3."
    if len({run.images for run in runs}) > 1:
        yield "The runs were not tested on the same images: their numbers cannot be compared directly."
    if len({run.code for run in runs}) > 1:
        versions = ", ".join(sorted({run.code[:12] for run in runs}))
        yield f"The runs were trained by different versions of the code: {versions}."
    for arm in arms:
        twice = [seed for seed, count in Counter(run.seed for run in arm.runs).items() if count > 1]
        if twice:
            yield f"{arm.letter} holds seed {', '.join(twice)} more than once: its spread is too small."
    for run in runs:
        bad = [name for name in MEASURES if not math.isfinite(measured(run, name) or 0)]
        if bad:
            yield f"{run.folder}: not a number: {', '.join(bad)}."
