"""Which row of the measured particles each simulated one belongs to: by uid, by image, by row."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import UID, from_cryosparc
from cryoalign.io.relion.read import ORIGINAL, parse_image_names
from cryoalign.io.simulated import simulated_uids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_log = logging.getLogger(__name__)

_Images = tuple["NDArray[np.str_]", "NDArray[np.int64]"]  # stacks, and slots in them

_SAME = 0.03  # distance of two poses that are one: 1.2 degrees, or 0.03 px
_NONE = -1


def refuse_swapped(sim: Particles, raw: Particles, kind: str = "sim") -> None:
    """Refuse tables that were given in each other's place, or one given twice.

    Parameters
    ----------
    sim, raw : Particles
    kind : str
        What the first is called in errors.

    Raises
    ------
    InputError
        If both come from one file, or the raw table alone names images, and those are of the other one.
    """
    if sim.source.resolve() == raw.source.resolve():
        raise InputError(f"{kind} and raw are one file", file=raw.source, remedy="give both STAR files")
    named = _named_images(raw) if ORIGINAL not in sim.table else None
    if named is not None and (_image_numbers(named, (sim.stack, sim.slot))[0] != _NONE).any():
        raise InputError(
            f"{kind} and raw look swapped",
            file=raw.source,
            expected=f"measured particles, and {ORIGINAL} in the file given as {kind}",
            found=f"{ORIGINAL} in the file given as raw",
            remedy="exchange them",
        )


def matching_rows(sim: Particles, raw: Particles) -> tuple[Particles, Particles]:
    """Bring together the rows that belong together, whatever else they say.

    Where both come from CryoSPARC, the rows of one uid belong together. Else a row of `sim` belongs to the
    row of `raw` whose image its ``rlnImageOriginalName`` names, or whose ``rlnImageOriginalName`` is the
    same, as in what relion_project writes; rows of one image, as after symmetry expansion, are told apart by
    their poses. Without that column, row i belongs to row i.

    Parameters
    ----------
    sim, raw : Particles
        Simulated and measured particles.

    Returns
    -------
    sim, raw : Particles
        Of the same length, in the order of `sim`. Rows of `raw` without a simulated image are left out;
        simulated ones without a measured image are left out with a warning.

    Raises
    ------
    InputError
        If no row of `sim` has a measured image, rows of one image cannot be told apart, or the tables name
        nothing and differ in length.
    """
    if from_cryosparc(sim) and from_cryosparc(raw):
        index = pd.Index(raw.table[UID]).get_indexer(pd.Index(sim.table[UID])).astype(np.int64)
        return _present(sim, raw, index, UID)
    if ORIGINAL in sim.table:
        return _present(sim, raw, _rows_of_images(sim, raw), ORIGINAL)
    if simulated_uids(sim) is not None and simulated_uids(raw) is None:
        raise InputError(
            "these simulated particles were never measured: no raw image belongs to any of them",
            file=sim.source,
            expected="particles simulated with particles=, an image of each measured one",
            found="new ones, simulated with like=",
            remedy=f"simulate those of {raw.source} with particles=",
        )
    if len(sim) != len(raw):
        raise InputError(
            f"the simulated particles do not name their raw images ({ORIGINAL}) and are not as many",
            file=sim.source,
            expected=f"{len(raw)} rows, as in {raw.source}",
            found=f"{len(sim)} rows",
            remedy="simulate these raw particles with cryoalign simulate, or add that column",
        )
    return sim, raw


def _present(
    sim: Particles, raw: Particles, index: NDArray[np.int64], column: str
) -> tuple[Particles, Particles]:
    """Select the rows that were found; refuse if there are none."""
    missing = np.flatnonzero(index == _NONE)
    if not len(missing):
        return sim, raw.take(index)
    first = int(sim.row[missing[0]]), sim.table[column].iloc[missing[0]]
    if len(missing) == len(sim):
        raise InputError(
            "none of the simulated particles has its raw image here",
            file=sim.source,
            row=first[0],
            expected=f"a row of {raw.source} with that {'uid' if column == UID else 'image'}",
            found=f"{column} {first[1]}",
            remedy="give the raw particles that were simulated, or simulate these anew",
        )
    _log.warning(
        "%s: %d of %d simulated particles have no raw image in %s and are left out, the first in row %d "
        "(%s %s)", sim.source, len(missing), len(sim), raw.source, first[0], column, first[1],
    )  # fmt: skip
    there = np.flatnonzero(index != _NONE)
    return sim.take(there), raw.take(index[there])


def _named_images(particles: Particles) -> _Images | None:
    """Return the images that ``rlnImageOriginalName`` names; None where it names none."""
    if ORIGINAL not in particles.table:
        return None
    try:
        return parse_image_names(particles.table[ORIGINAL].astype("str"), ORIGINAL, particles.source)
    except InputError:
        return None


def _rows_of_images(sim: Particles, raw: Particles) -> NDArray[np.int64]:
    """Return for each row of `sim` the row of `raw` that shows its image at its pose, -1 if there is none."""
    named = parse_image_names(sim.table[ORIGINAL].astype("str"), ORIGINAL, sim.source, sim.row)
    wanted, there = _image_numbers(named, (raw.stack, raw.slot))
    before = _named_images(raw)
    if before is not None:  # relion_project copies the column, which then names what raw was made of
        other = _image_numbers(named, before)
        count = (wanted != _NONE).sum(), (other[0] != _NONE).sum()
        nearer = _apart(sim, raw, *other) < _apart(sim, raw, wanted, there)
        if count[1] > count[0] or (count[1] == count[0] and nearer):  # stacks of a run are all called raw
            wanted, there = other
    rows: NDArray[np.int64] = np.full(len(sim), _NONE)
    found = wanted != _NONE
    often = {number for numbers in (wanted[found], there) for number in _repeated(numbers)}
    once = found & ~np.isin(wanted, list(often))
    first = np.zeros(there.max(initial=0) + 1, dtype=np.int64)
    first[there] = np.arange(len(there))
    rows[once] = first[wanted[once]]
    s = np.flatnonzero(found & ~once)
    if len(s):
        r = np.flatnonzero(np.isin(there, wanted[s]))
        place = _told_apart(sim.take(s), raw.take(r), wanted[s], there[r])
        rows[s] = np.where(place == _NONE, _NONE, r[place])
    return rows


def _apart(sim: Particles, raw: Particles, wanted: NDArray[np.int64], there: NDArray[np.int64]) -> np.float64:
    """Return the mean distance in pose of rows of one image, the first one of each."""
    common, s, r = np.intersect1d(wanted, there, return_indices=True)
    kept = common != _NONE
    between = _poses(sim.take(s[kept]), raw) - _poses(raw.take(r[kept]), raw)
    return np.linalg.norm(between, axis=1).mean() if kept.any() else np.float64(np.inf)


def _poses(particles: Particles, raw: Particles) -> NDArray[np.float64]:
    """(N, 11) rotation matrices, and shifts in px of raw."""
    turned = Rotation.from_euler("ZYZ", particles.angles, degrees=True).as_matrix().reshape(-1, 9)
    return np.column_stack([turned, particles.shift / raw.optics_column("pixel_size").mean()])


def _repeated(numbers: NDArray[np.int64]) -> list[int]:
    values, count = np.unique(numbers, return_counts=True)
    found: list[int] = values[count > 1].tolist()
    return found


def _image_numbers(wanted: _Images, there: _Images) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of the images of both; -1 for one that is wanted and not there."""
    known = _same_stacks(np.unique(wanted[0]).tolist(), np.unique(there[0]).tolist())
    asked = pd.MultiIndex.from_arrays([[known.get(name, "") for name in wanted[0].tolist()], wanted[1]])
    index = pd.MultiIndex.from_arrays([there[0].tolist(), there[1]])
    images = index.drop_duplicates()
    return images.get_indexer(asked).astype(np.int64), images.get_indexer(index).astype(np.int64)


def _same_stacks(named: list[str], there: list[str]) -> dict[str, str]:
    """Find the raw stack that each name means: the same name, else the only one with the same last part."""
    known = {name: name for name in named if name in set(there)}
    left = [name for name in named if name not in known]
    free = [name for name in there if name not in known]
    last = {PurePosixPath(name).name: name for name in free}
    many = Counter(PurePosixPath(name).name for name in left) + Counter(
        PurePosixPath(name).name for name in free
    )
    for name in left:
        end = PurePosixPath(name).name
        if end in last and many[end] == 2:
            known[name] = last[end]
    return known


def _told_apart(
    sim: Particles, raw: Particles, wanted: NDArray[np.int64], there: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Match rows of images that stand in several, by pose and shift; -1 for a pose that is not there.

    Where both files have as many rows of an image and their poses differ, they are matched in their order:
    that the poses differ is for others to say.
    """
    points = [
        np.column_stack([1e3 * numbers, _poses(particles, raw)])  # further apart than any two poses
        for particles, numbers in ((sim, wanted), (raw, there))
    ]
    found = cKDTree(points[1]).query(points[0], k=2)
    distance, near = np.asarray(found[0]), np.asarray(found[1], dtype=np.int64)
    rows = np.where(distance[:, 0] < _SAME, near[:, 0], _NONE)
    alike = np.flatnonzero((rows != _NONE) & (distance[:, 1] <= 2 * distance[:, 0] + 1e-6))
    if len(alike):
        _refuse_twice(raw, near[alike[0]], "raw")
    again = np.flatnonzero((rows != _NONE) & pd.Series(rows).duplicated().to_numpy())
    if len(again):
        _refuse_twice(sim, np.flatnonzero(rows == rows[again[0]]), "simulated")
    _fill_in_order(rows, wanted, there)
    if (rows == _NONE).all():
        for particles, images, kind in ((sim, wanted, "simulated"), (raw, there, "raw")):
            for number in _repeated(images)[:1]:
                _refuse_twice(particles, np.flatnonzero(images == number), kind)
    return rows


def _fill_in_order(rows: NDArray[np.int64], wanted: NDArray[np.int64], there: NDArray[np.int64]) -> None:
    """Match the k-th row of an image with its k-th row, where one was not found and there are as many."""
    images = np.unique(wanted[rows == _NONE])
    count = [np.bincount(numbers, minlength=images.max(initial=0) + 1)[images] for numbers in (wanted, there)]
    images = images[count[0] == count[1]]
    places = [np.flatnonzero(np.isin(numbers, images)) for numbers in (wanted, there)]
    s, r = (
        place[np.argsort(numbers[place], kind="stable")]
        for place, numbers in zip(places, (wanted, there), strict=True)
    )
    rows[s] = r


def _refuse_twice(particles: Particles, rows: NDArray[np.int64], kind: str) -> None:
    """Refuse rows that stand for one image, at one pose or at poses that are nowhere else."""
    first, second = np.sort(particles.row[rows])[:2]
    raise InputError(
        f"two {kind} particles stand for one raw image, so that pairs cannot be told",
        file=particles.source,
        row=int(second),
        expected="one row for each raw image",
        found=f"the same image as in row {first}",
        remedy="remove the duplicate; rows of one image, as after a symmetry expansion, need the same poses "
        "in both files",
    )
