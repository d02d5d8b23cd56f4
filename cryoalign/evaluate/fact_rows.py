"""What was judged, and how, as rows of a table for the reader."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from cryoalign.evaluate.digits import number
from cryoalign.evaluate.rendering import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from cryoalign.evaluate.document import Facts


def fact_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    """Return the name and the text of each fact that is known, first those that all evaluations have."""
    yield from facts.files.items()
    known = {
        "run": facts.run,
        "checkpoint": facts.checkpoint,
        "part of the split": facts.part,
        "pairs" if facts.paired is None else "fakes, and raw images of other particles": facts.pairs,
        "groups": facts.groups,
        "groups are": facts.group_by,
        "resampled units": facts.units,
        "box": None if facts.box is None else f"{facts.box} px",
        "pixel size": None if facts.pixel_size is None else f"{number(facts.pixel_size, 4)} Å",
        "defocus bins": ", ".join(bin_names(facts.defocus_bins)) or None,
        "bootstrap draws": facts.draws,
        "seed": facts.seed,
        "computed on": facts.device,
        "made": None if facts.created is None else moment(facts.created),
        "command": command_line(facts.command) or None,
        "commit": facts.git,
        "versions": version_list(facts.versions) or None,
    }
    for name, value in known.items():
        if value is not None:
            yield name, str(value)
    for key, other in facts.more.items():
        if other is not None and other != []:
            yield key.replace("_", " "), _other(other)


def version_list(versions: Mapping[str, str]) -> str:
    """Write the versions of some packages in one line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _other(value: JsonValue) -> str:
    """Write a value of a kind that is not foreseen; a list or a table in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def command_line(command: str | Sequence[str]) -> str:
    """Write a command, as `cryoalign.runs.provenance` describes it, so that it can be pasted into a shell."""
    return command if isinstance(command, str) else shlex.join(command)


def bin_names(edges: Sequence[float]) -> list[str]:
    """Name defocus bins in µm by their edges in A, which are one more."""
    return [f"{low / 1e4:.2f} to {high / 1e4:.2f} µm" for low, high in pairwise(edges)]
