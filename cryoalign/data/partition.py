"""Dealing whole groups out to parts so that each gets its share of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def partition(
    group: NDArray[np.str_], shares: Mapping[str, float], seed: int, *, what: str, file: Path
) -> NDArray[np.str_]:
    """Assign every row to a part, the same for all rows of a group.

    The groups come in an order drawn by the seed. Each part but the largest takes from it what fits;
    then single groups are added, given back or exchanged as long as that brings its count of rows closer
    to its share. The largest part gets the rest.

    Parameters
    ----------
    group : (N,) str
        Group of each row.
    shares : mapping of str to float
        Share of the rows that each part should get; parts of share 0 get none, the others at least one group.
    seed : int
        Of the order of the groups.
    what : str
        What the groups are, for the error.
    file : Path
        Where they come from, for the error.

    Returns
    -------
    (N,) str

    Raises
    ------
    InputError
        If there are fewer groups than parts of a share above 0.
    """
    wanted = sorted((part for part, share in shares.items() if share > 0), key=lambda part: shares[part])
    names, inverse, sizes = np.unique(group, return_inverse=True, return_counts=True)
    if len(names) < len(wanted):
        # training and validation cannot be left out
        fewer = ", or give the test part no share" if len(names) > 1 and "test" in wanted else ""
        raise InputError(
            "there are fewer groups than parts of the split",
            file=file,
            expected=f"at least {len(wanted)} different values of {what}, for {', '.join(wanted)}",
            found=f"{len(names)}: {', '.join(names.tolist())}",
            remedy="split by another column with data.split.by= (by rlnImageName every image is a group:"
            f" parts then share micrographs){fewer}",
        )
    part = np.full(len(names), wanted[-1], dtype=f"<U{max(map(len, wanted))}")
    left = np.random.default_rng(seed).permutation(len(names))
    for place, name in enumerate(wanted[:-1]):
        most = len(left) - (len(wanted) - 1 - place)  # one group has to stay for each part to come
        chosen = _choose(sizes[left], shares[name] * len(group), most)
        part[left[chosen]] = name
        left = left[~chosen]
    return part[inverse.reshape(-1)]


def first_groups(group: NDArray[np.str_], count: int, seed: int) -> NDArray[np.int64]:
    """Choose `count` rows, group after group in an order drawn by the seed; the last group is cut.

    A larger count holds the rows of a smaller one.

    Parameters
    ----------
    group : (N,) str
        Group of each row.
    count : int
        Rows wanted; more than there are choose all.
    seed : int
        Of the order of the groups.

    Returns
    -------
    (M,) int64
        Ascending, M = min(count, N).
    """
    names, inverse = np.unique(group, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))[inverse.reshape(-1)]
    return np.sort(np.argsort(place, kind="stable")[:count])


def _choose(sizes: NDArray[np.int64], target: float, most: int) -> NDArray[np.bool_]:
    """Mark between 1 and `most` entries whose sum is close to `target`, the earlier ones first."""
    chosen = np.zeros(len(sizes), dtype=bool)
    total = 0
    for place, size in enumerate(sizes):
        if total + size <= target and chosen.sum() < most:
            chosen[place] = True
            total += int(size)
    if not chosen.any():
        chosen[np.argmin(np.abs(sizes - target))] = True
    while (step := _best_step(sizes, chosen, target, most)) is not None:
        chosen[step] = ~chosen[step]
    return chosen


def _best_step(
    sizes: NDArray[np.int64], chosen: NDArray[np.bool_], target: float, most: int
) -> list[int] | None:
    """Find what to add, drop or exchange to bring the sum closest to `target`; None if nothing does."""
    error = float(sizes[chosen].sum()) - target
    out, first_out = np.unique(sizes[chosen], return_index=True)
    into, first_in = np.unique(sizes[~chosen], return_index=True)
    drop = np.flatnonzero(chosen)[first_out]
    add = np.flatnonzero(~chosen)[first_in]
    steps: list[tuple[float, list[int]]] = [(abs(error), [])]
    if chosen.sum() < most and len(into):
        best = int(np.argmin(np.abs(error + into)))
        steps.append((abs(error + into[best]), [int(add[best])]))
    if chosen.sum() > 1:
        best = int(np.argmin(np.abs(error - out)))
        steps.append((abs(error - out[best]), [int(drop[best])]))
    if len(into) and len(out):
        exchange = np.abs(error - out[:, None] + into[None, :])
        row, column = np.unravel_index(int(np.argmin(exchange)), exchange.shape)
        steps.append((float(exchange[row, column]), [int(drop[row]), int(add[column])]))
    improvement, step = min(steps, key=lambda entry: entry[0])
    return step if improvement < abs(error) else None
