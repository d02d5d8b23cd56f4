"""Whether simulated images have the aberrations of the measured ones that they are paired with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from cryoalign.particles import Optics, Particles

_MATRIX = "magnification matrix"
_NONE = {_MATRIX: (1.0, 0.0, 0.0, 1.0)}

_log = logging.getLogger(__name__)


def check_aberrations(sim: Particles, raw: Particles, *, aberration: float, magnification: float) -> None:
    """Refuse aberrations that the raw images do not have; tell of those that the simulation left out.

    A simulation without an aberration is a coarser picture of the same particle, and many programs make no
    other: it is accepted with a warning in the log. One that states other values belongs to other images.

    Parameters
    ----------
    sim, raw : Particles
        Pairs, row by row.
    aberration : float
        Tolerance of each component of the beam tilt in mrad and of each Zernike coefficient in rad.
    magnification : float
        Tolerance of each element of the magnification matrix.

    Raises
    ------
    InputError
        Naming the first row that states other aberrations than its raw one.
    """
    groups = np.column_stack([sim.optics_index, raw.optics_index])
    _, first = np.unique(groups, axis=0, return_index=True)
    left_out: set[str] = set()
    for row in np.sort(first):
        ours, theirs = sim.optics[sim.optics_index[row]], raw.optics[raw.optics_index[row]]
        left_out |= set(theirs.unmodelled) - set(ours.unmodelled)
        for name, found in _values(ours).items():
            expected, none = _values(theirs)[name], _NONE.get(name, ())
            tolerance = magnification if name == _MATRIX else aberration
            if _difference(found, expected) <= tolerance:
                continue
            if _difference(found, none) == 0:
                left_out.add(name)
                continue
            raise InputError(
                f"a simulated particle and its raw one differ in {name}",
                file=sim.source,
                row=int(sim.row[row]),
                expected=f"{_text(expected)}, as in row {raw.row[row]} of {raw.source}",
                found=f"{_text(found)}, of which each value may differ by {tolerance:g}",
                remedy="simulate these raw particles anew, or widen data.tolerances",
            )
    if left_out:
        names = ", ".join(sorted(left_out))
        _log.warning("%s was simulated without aberrations that the raw images have: %s", sim.source, names)


def _values(group: Optics) -> dict[str, tuple[float, ...]]:
    return {
        "beam tilt": group.beam_tilt,
        "odd Zernike coefficients": group.odd_zernike,
        "even Zernike coefficients": group.even_zernike,
        _MATRIX: group.magnification,
    }


def _difference(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the largest difference of any value; the shorter vector goes on with zeros."""
    length = max(len(a), len(b))
    padded = [np.pad(np.asarray(values, dtype=np.float64), (0, length - len(values))) for values in (a, b)]
    return float(np.abs(padded[0] - padded[1]).max(initial=0))


def _text(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"
