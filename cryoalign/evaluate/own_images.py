"""Images that belong to fakes of other particles than raw's: their own sims, other draws of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.data.pairs import check_agreement
from cryoalign.errors import InputError
from cryoalign.io.relion.read import ORIGINAL
from cryoalign.io.simulated import simulated_uids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoalign.particles import Particles


def own_images(table: Particles, fakes: Particles, kind: str, tolerances: Mapping[str, float]) -> Particles:
    """Bring the images of a table into the order of the fakes that they belong to.

    They belong together by their uids, by the images they name, or row for row.

    Parameters
    ----------
    table, fakes : Particles
    kind : str
        What the images are called in errors.
    tolerances : mapping
        Of `cryoalign.data.pairs.check_agreement`.

    Returns
    -------
    Particles

    Raises
    ------
    InputError
        If one is missing, or differs from its fake in pose or CTF.
    """
    found = table.take(in_order(*_identities(table, fakes), table))
    _check_own(found, fakes, kind, tolerances)
    return found


def _check_own(table: Particles, fakes: Particles, kind: str, tolerances: Mapping[str, float]) -> None:
    """Refuse images that differ from the fakes which they belong to."""
    try:
        check_agreement(table, fakes, **tolerances)
    except InputError as error:
        problem = error.problem.replace(
            "a simulated particle and its raw one", f"a particle of {kind} and its fake"
        )
        remedy = f"give the {kind} that belongs to these fakes, of the same particles"
        raise InputError(
            problem, file=error.file, row=error.row, expected=error.expected, found=error.found, remedy=remedy
        ) from None


def _identities(table: Particles, fakes: Particles) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return who the rows of a table and of the fakes are: those of one identity belong together."""
    uids = simulated_uids(table), simulated_uids(fakes)
    if uids[0] is not None and uids[1] is not None:
        return uids[0], uids[1]
    if ORIGINAL in table.table and ORIGINAL in fakes.table:
        one, other = (entry.table[ORIGINAL].astype("str").to_numpy(dtype=np.str_) for entry in (table, fakes))
        return one, other
    return np.arange(len(table)), np.arange(len(fakes))


def in_order(place: NDArray[Any], wanted: NDArray[Any], table: Particles) -> NDArray[np.int64]:
    """Find where a table has the wanted raw rows, or particles.

    Parameters
    ----------
    place : (n,) array
        Who the rows of the table are.
    wanted : (m,) array
    table : Particles
        To be named in an error.

    Returns
    -------
    (m,) int64
        Rows of the table.

    Raises
    ------
    InputError
        If one is not there.
    """
    order = np.argsort(place, kind="stable")
    found = np.searchsorted(place[order], wanted).clip(max=len(place) - 1)
    index: NDArray[np.int64] = order[found]
    missing = np.flatnonzero(place[index] != wanted)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(wanted)} particles are not in this file",
            file=table.source,
            expected="an image of every particle that is judged",
            found=f"{len(table)} images",
            remedy="give files that belong together, of the same particles",
        )
    return index
