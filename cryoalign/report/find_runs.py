"""Run folders found by name or pattern."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli.paths import at_home
from cryoalign.cli.writing import written
from cryoalign.errors import InputError
from cryoalign.report.run_result import RunResult, read_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOGS = "tensorboard"  # the runs of a sweep have their logs beside them
_SHOWN = 5  # folders that a note names


@dataclass
class Found:
    """Runs to be compared, and what was left out.

    Attributes
    ----------
    runs : list of RunResult
    left_out : list of str
        A sentence each.
    """

    runs: list[RunResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_runs(patterns: Sequence[str]) -> Found:
    """Read the runs that names or patterns stand for.

    Parameters
    ----------
    patterns : sequence of str
        Folders of runs, folders that hold such, or patterns with ``*``, ``?``, ``[...]`` and ``**``.

    Returns
    -------
    Found
        Each run once, folders in the order of the patterns and then of their names, numbers by size. What a
        pattern found and cannot be used is left out and named, and so is a run without a test.

    Raises
    ------
    InputError
        If a folder named outright holds no run or cannot be read, or no tested run is left.
    """
    found, others = Found(), list[Path]()
    for folder, named in _folders(patterns):
        if not named and not (folder / "config.yaml").is_file():
            others += [folder] if folder.name != _LOGS else []
            continue
        try:
            _refuse_untested(folder)
            found.runs.append(read_result(folder))
        except InputError as error:
            if named and not isinstance(error, _UntestedError):
                raise
            found.left_out.append("; ".join(line.strip() for line in str(error).splitlines()))
    if others:
        names = ", ".join(map(str, others[:_SHOWN])) + (" and others" if len(others) > _SHOWN else "")
        what = "a folder that holds no run" if len(others) == 1 else f"{len(others)} folders that hold no run"
        found.left_out.append(f"{what}: {names}")
    if not found.runs:
        raise InputError(
            "there is no tested run to compare",
            expected="folders made by cryoalign train, with test/metrics.json in them",
            found=" | ".join(found.left_out) or f"no folder that fits {', '.join(patterns)}",
            remedy="give runs='outputs/sweep/NAME/*', or a list of run folders",
        )
    return found


class _UntestedError(InputError):
    """A run that is not finished, or was not tested."""


def _folders(patterns: Sequence[str]) -> Iterator[tuple[Path, bool]]:
    """Every folder once, and whether it was named outright."""
    seen = set()
    for pattern in patterns:
        if not pattern:  # it would be the working folder
            raise InputError(
                "runs cannot be used",
                expected="folders of runs, or patterns",
                found="nothing",
                remedy="write runs=PATH",
            )
        place = at_home(pattern)
        named = place.is_dir() or not any(sign in pattern for sign in "*?[")
        # Path.glob takes no absolute pattern.
        matches = [str(place)] if named else glob.glob(str(place), recursive=True)  # noqa: PTH207
        if named and (inside := _runs_inside(place)):
            matches, named = inside, False
        for folder in sorted(map(Path, matches), key=_by_numbers):
            if (named or folder.is_dir()) and folder.resolve() not in seen:
                seen.add(folder.resolve())
                yield folder, named


def _runs_inside(folder: Path) -> list[str]:
    """Return the runs of a folder that is none itself, as a sweep's, or those one level further down."""
    if (folder / "config.yaml").is_file():
        return []
    for pattern in ("*/config.yaml", "*/*/config.yaml"):
        if found := [str(path.parent) for path in folder.glob(pattern)]:
            return found
    return []


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sort job 2 before job 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _refuse_untested(folder: Path) -> None:
    if (folder / "config.yaml").is_file() and not (folder / "test" / "metrics.json").is_file():
        if not any(folder.glob("checkpoints/*.ckpt")):
            raise _UntestedError(
                "this run has no test (test/metrics.json) and no checkpoint: it is not finished",
                file=folder,
                remedy="train it again: there is nothing to continue",
            )
        raise _UntestedError(
            "this run has no test (test/metrics.json): it is not finished, or was trained with test=false",
            file=folder,
            remedy=f"cryoalign train {written('resume', folder)}, or "
            f"cryoalign evaluate {written('run', folder)} {written('out', folder / 'test')}",
        )
