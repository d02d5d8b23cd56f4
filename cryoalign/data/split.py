"""Training, validation and test: parted by groups that stay together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cryoalign.data.groups import group_names
from cryoalign.data.partition import partition
from cryoalign.errors import InputError, choice, existing
from cryoalign.io.relion.read import HALF, IMAGE, MICROGRAPH, parse_image_names
from cryoalign.io.relion.star import read_star

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

PARTS = ("train", "validation", "test")
FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
PART = "part"
"""Column of a split file that says ``train``, ``validation`` or ``test``."""
_DOSE = "rlnMicrographPreExposure"


@dataclass(frozen=True)
class Split:
    """Which particle serves for what.

    Attributes
    ----------
    train, validation, test : (M,) int64
        0-based indices into the table of particles, ascending; no index is in two of them.
    group : (N,) str
        The group of every particle.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    group: NDArray[np.str_]


def split_particles(
    particles: Particles,
    *,
    by: str = MICROGRAPH,
    pattern: str | None = None,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: Literal["groups", "half", "file"] = "groups",
    file: str | Path | None = None,
) -> Split:
    """Part the particles into training, validation and test.

    Parameters
    ----------
    particles : Particles
        N particles.
    by : str
        The column, of the particles or of their optics groups, whose values stay together.
    pattern : str, optional
        Regular expression that is searched for in that column: what its first group matches (or the
        whole of it, if it has no group) names the group.
    fractions : mapping
        Wanted shares of ``train``, ``validation`` and ``test`` in the count of particles, with a sum of
        1; met as well as the sizes of the groups permit, with at least one group for each share above 0.
    seed : int
        Of the order in which groups are drawn; the order of the rows does not matter.
    kind : {"groups", "half", "file"}
        ``half``: half-set 1 is parted into training and validation, by groups, and half-set 2 is the
        test. ``file``: read from `file`.
    file : str or Path, optional
        A CSV or STAR table with the column ``part`` and either ``rlnImageName`` (image by image; the
        ``split.csv`` of a run is one) or the column `by` (group by group).

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If a column is missing, a row does not match `pattern`, there are fewer groups than parts, the
        fractions make no sense, or a particle is not in `file`.
    """
    choice("data.split.kind", kind, ("groups", "half", "file"))
    shares = _check_fractions(FRACTIONS if fractions is None else fractions)
    if kind == "file":
        return _from_file(particles, by, pattern, file)
    group = group_names(particles, by, pattern)
    if by == MICROGRAPH and pattern is None:
        _warn_of_tilt_images(particles, group)
    what = f"{by} (pattern {pattern})" if pattern else by
    if kind == "groups":
        return _make(partition(group, shares, seed, what=what, file=particles.source), group)
    first = _first_half(particles)
    inner = {part: shares[part] for part in ("train", "validation")}
    total = sum(inner.values())
    parts = np.full(len(particles), "test", dtype="<U10")
    inside = partition(
        group[first],
        {part: share / total for part, share in inner.items()},
        seed,
        what=what,
        file=particles.source,
    )
    parts[first] = inside
    return _make(parts, group)


def _warn_of_tilt_images(particles: Particles, group: NDArray[np.str_]) -> None:
    """Warn where each micrograph has a dose of its own before it: so have the tilt images of a series."""
    if _DOSE not in particles.table:
        return
    doses = pd.Series(pd.to_numeric(particles.table[_DOSE], errors="coerce").to_numpy()).groupby(group)
    lowest, highest = doses.min().to_numpy(), doses.max().to_numpy()
    if lowest.min() < lowest.max() and (lowest == highest).all():
        _log.warning(
            "%s: %s differs between micrographs, as between the images of a tilt series: if they are, one "
            "particle is in training and in test. Keep tomograms together with data.split.by= or "
            "data.split.pattern=, such as '^(.*)_tilt'; here the first is %s",
            particles.source, _DOSE, group[0],
        )  # fmt: skip


def _make(parts: NDArray[np.str_], group: NDArray[np.str_]) -> Split:
    indices = {part: np.flatnonzero(parts == part).astype(np.int64) for part in PARTS}
    return Split(group=group, **indices)


def _check_fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    shares = {part: float(fractions.get(part, 0.0)) for part in PARTS}
    possible = all(0 <= share <= 1 for share in shares.values()) and abs(sum(shares.values()) - 1) < 1e-6
    if set(fractions) - set(PARTS) or not possible or shares["train"] == 0:
        raise InputError(
            "the fractions of the split make no sense",
            expected=f"{', '.join(PARTS)}, each 0 to 1 with the sum 1, and train above 0",
            found=", ".join(f"{part}={share}" for part, share in fractions.items()),
            remedy="correct data.split.fractions",
        )
    return shares


def _first_half(particles: Particles) -> NDArray[np.int64]:
    """Return the indices of half-set 1 after checking that each particle is in one of the two."""
    if not particles.half.any():
        raise InputError(
            "there are no half-sets to split by",
            file=particles.source,
            expected=HALF,
            remedy="use the STAR file of a gold-standard refinement, or data.split.kind=groups",
        )
    strange = np.flatnonzero(~np.isin(particles.half, (1, 2)))
    if len(strange):
        raise InputError(
            "a particle is in no half-set",
            file=particles.source,
            row=int(particles.row[strange[0]]),
            expected=f"{HALF} 1 or 2",
            found=particles.half[strange[0]],
            remedy=f"correct {HALF}, or split otherwise: data.split.kind=groups",
        )
    if not (particles.half == 1).any() or not (particles.half == 2).any():
        raise InputError(
            "all particles are in one half-set",
            file=particles.source,
            expected=f"{HALF} 1 and 2",
            found="one of them alone",
            remedy="use the STAR file of a gold-standard refinement, or data.split.kind=groups",
        )
    return np.flatnonzero(particles.half == 1).astype(np.int64)


def _from_file(particles: Particles, by: str, pattern: str | None, file: str | Path | None) -> Split:
    """Look each particle up in a split file."""
    if file is None:
        raise InputError(
            "no file to split by",
            expected="data.split.file=FILE with data.split.kind=file",
            remedy="name one, e.g. the split.csv of a run, or leave data.split.kind out",
        )
    path = Path(file)
    table = _read_split(path, by)
    if IMAGE in table:
        keys = _image_keys(*parse_image_names(table[IMAGE], IMAGE, path))
        wanted = _image_keys(particles.stack, particles.slot)
        group = group_names(particles, by, pattern) if by in particles.table else particles.image_name
    else:
        keys = table[by].to_list()
        group = group_names(particles, by, pattern)
        wanted = group.tolist()
    known: dict[str, str] = {}
    for row, (key, part) in enumerate(zip(keys, table[PART].to_list(), strict=True), start=1):
        choice(PART, part, PARTS, file=path, row=row)
        if known.setdefault(key, part) != part:
            raise InputError(
                f"{key} is in two parts of the split",
                file=path,
                row=row,
                expected="one part for each",
                found=f"{known[key]} and {part}",
                remedy="remove one of the rows",
            )
    parts = np.array([known.get(key, "") for key in wanted], dtype=np.str_)
    missing = np.flatnonzero(parts == "")
    if len(missing):
        raise InputError(
            f"a particle is not in the split file {path} ({len(missing)} in all)",
            file=particles.source,
            row=int(particles.row[missing[0]]),
            expected="a row for every particle",
            found=wanted[missing[0]],
            remedy="add it there",
        )
    if not (parts == "train").any():
        raise InputError(
            "the split file leaves nothing to train on",
            file=path,
            expected="a row that says train",
            remedy=f"write train into the column {PART} for the particles to train on",
        )
    return _make(parts, group)


def _read_split(path: Path, by: str) -> pd.DataFrame:
    """Read a CSV or STAR table with the part of each image or group."""
    if path.suffix.lower() != ".csv":
        tables = [table for table in read_star(path).values() if PART in table]
        table = tables[0] if tables else pd.DataFrame()
    else:
        existing(path, "a CSV or STAR table of a split")
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise InputError(
                "this CSV file cannot be read",
                file=path,
                expected="a table with commas between its columns",
                found=error,
                remedy="write it again, as the split.csv of a run is",
            ) from error
    if PART not in table or not {IMAGE, by} & set(table.columns):
        raise InputError(
            "this file does not hold a split",
            file=path,
            expected=f"the column {PART} and either {IMAGE} or {by}",
            found=", ".join(map(str, table.columns)) or "no such columns",
            remedy="give the split.csv of a run, or a table made like it",
        )
    return table


def _image_keys(stack: NDArray[np.str_], slot: NDArray[np.int64]) -> list[str]:
    return [f"{number + 1}@{name}" for name, number in zip(stack.tolist(), slot.tolist(), strict=True)]
