"""The seed of an output's noise: its own unless given, and stored before the first image is written."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from cryoalign.errors import InputError
from cryoalign.io.lock import locked
from cryoalign.io.output import atomic_write
from cryoalign.io.unfinished import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SEEDS = 2**53  # so many that no two outputs draw the same, and whole in every program's numbers
_PATIENCE = 60.0  # s: for jobs that begin at the same moment


def stored_seed(folder: Path, given: int | None, facts: Mapping[str, Any]) -> int:
    """Return the seed of an output: whoever goes on with it, or makes another part of it, reads the same.

    Parameters
    ----------
    folder : Path
        Of the output, perhaps begun by an earlier attempt, or by other jobs at this moment.
    given : int, optional
        The seed; drawn if it is not given.
    facts : mapping
        What ``provenance.json`` states besides, for JSON.

    Returns
    -------
    int
    """
    path = folder / NOTE
    busy = InputError(
        "another job has been storing the seed of this output for a minute",
        file=path,
        expected="its end after a moment",
        remedy="look whether that job still runs; then give the command again",
    )
    with locked(folder / ".seed.lock", busy, patience=_PATIENCE):
        seed = _read(path)
        if seed is None:
            for left in folder.iterdir():  # made with a seed that nobody knows
                if not left.name.startswith("."):
                    left.unlink()
            seed = secrets.randbelow(_SEEDS) if given is None else given
            with atomic_write(path) as part:
                part.write_text(json.dumps({**facts, "seed": seed}, indent=2) + "\n", encoding="utf-8")
    return seed


def _read(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
