"""The seed of an output's noise: its own unless given, and stored before the first image is written."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cryoalign.io.output import atomic_write
from cryoalign.io.ownership import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOTE = "provenance.json"
_SEEDS = 2**53  # so many that no two outputs draw the same, and whole in every program's numbers


@contextmanager
def stored_seed(folder: Path, given: int | None, facts: Mapping[str, Any]) -> Iterator[int]:
    """Return the seed of an output while its images are made: whoever goes on with it reads the same.

    Parameters
    ----------
    folder : Path
        Of the output, perhaps begun by an earlier attempt.
    given : int, optional
        The seed; drawn if it is not given.
    facts : mapping
        What ``provenance.json`` states besides, for JSON.

    Yields
    ------
    int
    """
    path = folder / NOTE
    seed = _read(path)
    if seed is None:
        for left in folder.iterdir():  # made with a seed that nobody knows
            if left.name != MARKER:
                left.unlink()
        seed = secrets.randbelow(_SEEDS) if given is None else given
        with atomic_write(path) as part:
            part.write_text(json.dumps({**facts, "seed": seed}, indent=2) + "\n", encoding="utf-8")
    try:
        yield seed
    except BaseException:
        if not any(folder.glob("*.mrcs*")):  # nothing to go on with
            path.unlink(missing_ok=True)
        raise


def _read(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
