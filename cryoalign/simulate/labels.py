"""Which map each particle is an image of."""

from __future__ import annotations

import logging
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.simulated import CLASS, MAP, map_names, simulated_uids
from cryoalign.particles import Particles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoalign.population.population import Population
    from cryoalign.simulate.conformations import Conformations

_log = logging.getLogger(__name__)

_APART = "or give the particles of each class in a command of its own, with its map"


def drawn_classes(particles: Particles | Population, maps: Conformations) -> NDArray[np.int64] | None:
    """Return (N,) the number of each one's map from 1, 0 where there is no particle; None: all of one map.

    Parameters
    ----------
    particles : Particles or Population
        Measured ones of several maps say theirs in ``rlnClassNumber``, as do those that were simulated.
    maps : Conformations

    Raises
    ------
    InputError
        If it cannot be told.
    """
    if not isinstance(particles, Particles):
        shares = len(particles.classes.shares)
        if shares != len(maps):
            raise InputError(
                f"there {'is 1 share' if shares == 1 else f'are {shares} shares'} for "
                f"{len(maps)} map{'' if len(maps) == 1 else 's'}",
                expected="one share of each map",
                found=f"{particles.classes.shares} for {', '.join(maps.names)}",
                remedy="give as many shares as maps, in their order",
            )
        return particles.class_numbers if particles.classes.several else None
    fewest = 1 if simulated_uids(particles) is None else 0
    if CLASS not in particles.table:
        if len(maps) == 1:
            return None
        raise InputError(
            f"there are {len(maps)} maps, and the particles do not say which is theirs",
            file=particles.source,
            expected=f"{CLASS}, 1 to {len(maps)}",
            found="no such column",
            remedy="give one map (of a file of several models: specimen.model=1), or like= instead of "
            f"particles= for new particles of all, {_APART}",
        )
    given = particles.table[CLASS]
    if len(maps) == 1:  # a class of another job's says nothing about this map
        empty = (given == 0).to_numpy(dtype=np.bool_) & (fewest == 0)
        return np.where(empty, 0, 1) if empty.any() else None
    known = given.isin(range(fewest, len(maps) + 1)).to_numpy(dtype=np.bool_)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise InputError(
            f"{CLASS} is none of the {len(maps)} maps ({np.count_nonzero(~known)} of {len(known)} rows)",
            file=particles.source,
            row=int(particles.row[row]),
            expected=f"{fewest} to {len(maps)}, in the order of the maps",
            found=given.iloc[row],
            remedy=f"give the maps of all classes, {_APART}",
        )
    numbers = given.to_numpy(dtype=np.int64)
    unused = [maps.names[number - 1] for number in set(range(1, len(maps) + 1)) - set(numbers.tolist())]
    if unused:
        _log.warning(
            "%s: no particle is of %d of the %d maps, such as %s",
            particles.source, len(unused), len(maps), unused[0],
        )  # fmt: skip
    return numbers


def numbered_maps(particles: Particles, classes: NDArray[np.int64], names: Sequence[str]) -> Particles:
    """Return particles with the name of each one's map."""
    table = particles.table.assign(**{CLASS: classes, MAP: map_names(classes, names)})
    return replace(particles, table=table)


def maps_fingerprint(
    contents: Sequence[str], particles: Particles | Population, classes: NDArray[np.int64] | None
) -> str:
    """Return one fingerprint of all maps, and of which of them each measured particle is an image of.

    Parameters
    ----------
    contents : sequence of str
        Of each file; that of a single one stays as it is.
    particles : Particles or Population
    classes : (N,) int64, optional
        Of `drawn_classes`.
    """
    if classes is None and len(contents) == 1:
        return contents[0]
    digest = sha256("\n".join(contents).encode())
    if classes is not None and isinstance(particles, Particles):
        digest.update(classes.astype("<i8").tobytes())
    return digest.hexdigest()
