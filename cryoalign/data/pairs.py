"""Which simulated image belongs to which measured one, and whether both really show the same particle."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from cryoalign.data.pair_optics import check_aberrations
from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import UID, from_cryosparc
from cryoalign.io.relion.read import ORIGINAL, parse_image_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoalign.particles import Particles


def refuse_swapped(sim: Particles, raw: Particles) -> None:
    """Refuse tables that were given in each other's place, or one given twice.

    Raises
    ------
    InputError
        If both come from one file, or the raw table alone names the raw images that it was made for.
    """
    if sim.source.resolve() == raw.source.resolve():
        raise InputError("sim and raw are one file", file=raw.source, remedy="give both STAR files")
    if ORIGINAL in raw.table and ORIGINAL not in sim.table:
        raise InputError(
            "sim and raw look swapped",
            file=raw.source,
            expected=f"measured particles, and {ORIGINAL} in the file given as sim",
            found=f"{ORIGINAL} in the file given as raw",
            remedy="exchange them",
        )


def match_pairs(
    sim: Particles,
    raw: Particles,
    *,
    angle: float = 0.01,
    shift: float = 0.01,
    defocus: float = 1.0,
    phase_shift: float = 0.01,
    voltage: float = 0.1,
    spherical_aberration: float = 0.001,
    amplitude_contrast: float = 0.001,
    pixel_size: float = 0.02,
    aberration: float = 0.01,
    magnification: float = 1e-4,
) -> tuple[Particles, Particles]:
    """Match simulated with measured particles and refuse what disagrees.

    Where both come from CryoSPARC, the rows of one uid belong together. Else a row of `sim` belongs to the
    row of `raw` whose image its ``rlnImageOriginalName`` names; without that column, row i belongs to row
    i. Any way the poses, shifts and CTFs of a pair have to agree.
    Rows of `raw` without a simulated image are left out; a simulated image without its raw one is an
    error.

    Parameters
    ----------
    sim, raw : Particles
        Simulated and measured particles.
    angle : float
        Tolerance of the pose, as the angle of the rotation between both, in degrees.
    shift : float
        Tolerance of either component of the shift, in px of `raw`.
    defocus : float
        Tolerance of the defocus in A, at the azimuth where both differ most.
    phase_shift : float
        Tolerance of the phase shift in degrees.
    voltage : float
        In kV.
    spherical_aberration : float
        In mm.
    amplitude_contrast : float
        Absolute, of the fraction.
    pixel_size : float
        Relative tolerance of the pixel size; where both files give a box size, of the field of view, as
        `data.box` may bring different boxes of one field together.
    aberration, magnification : float
        See `cryoalign.data.pair_optics.check_aberrations`.

    Returns
    -------
    sim, raw : Particles
        Of the same length and order, the order of `sim`.

    Raises
    ------
    InputError
        Naming the first row of `sim` that has no raw image, has one that another row has too, or
        disagrees with it.
    """
    if from_cryosparc(sim) and from_cryosparc(raw):
        raw = raw.take(_find_uids(sim, raw))
    elif ORIGINAL in sim.table:
        raw = raw.take(_find(sim, raw))
    elif len(sim) != len(raw):
        raise InputError(
            f"the simulated particles do not name their raw images ({ORIGINAL}) and are not as many",
            file=sim.source,
            expected=f"{len(raw)} rows, as in {raw.source}",
            found=f"{len(sim)} rows",
            remedy="simulate these raw particles with cryoalign simulate, or add that column",
        )
    lens = {
        "voltage": ("voltage", "kV", voltage),
        "spherical_aberration": ("spherical aberration", "mm", spherical_aberration),
        "amplitude_contrast": ("amplitude contrast", "", amplitude_contrast),
        "premultiplied": ("flag rlnCtfDataAreCtfPremultiplied", "", 0.0),
    }
    quantities = [
        *_poses(sim, raw, angle, shift),
        *_ctf(sim, raw, defocus, phase_shift),
        *(_optics(sim, raw, column, compared) for column, compared in lens.items()),
        _field(sim, raw, pixel_size),
    ]
    _refuse_disagreement(sim, raw, quantities)
    check_aberrations(sim, raw, aberration=aberration, magnification=magnification)
    return sim, raw


def _find(sim: Particles, raw: Particles) -> NDArray[np.int64]:
    """Return for each row of `sim` the row of `raw` whose image it names."""
    stack, slot = parse_image_names(sim.table[ORIGINAL].astype("str"), ORIGINAL, sim.source, sim.row)
    known = _same_stacks(np.unique(stack).tolist(), np.unique(raw.stack).tolist())
    wanted = pd.MultiIndex.from_arrays([[known.get(name, "") for name in stack.tolist()], slot])
    there = pd.MultiIndex.from_arrays([raw.stack.tolist(), raw.slot])
    unique = ~there.duplicated()
    place = np.flatnonzero(unique)[there[unique].get_indexer(wanted)].astype(np.int64)
    _refuse_missing(sim, raw, ~wanted.isin(there), ORIGINAL)
    _refuse_twice(raw, there, np.flatnonzero(there.duplicated() & there.isin(wanted)), "raw")
    _refuse_twice(sim, wanted, np.flatnonzero(wanted.duplicated()), "simulated")
    return place


def _find_uids(sim: Particles, raw: Particles) -> NDArray[np.int64]:
    """Return for each row of `sim` the row of `raw` with its uid; neither table has a uid twice."""
    wanted = sim.table[UID].to_numpy()
    rows: NDArray[np.int64] = pd.Index(raw.table[UID]).get_indexer(pd.Index(wanted)).astype(np.int64)
    _refuse_missing(sim, raw, rows < 0, UID)
    return rows


def _refuse_missing(sim: Particles, raw: Particles, absent: NDArray[np.bool_], column: str) -> None:
    """Refuse simulated particles whose raw one, by a column of theirs, is not there."""
    missing = np.flatnonzero(absent)
    if len(missing):
        raise InputError(
            f"the raw image of a simulated particle is not there ({len(missing)} rows in all)",
            file=sim.source,
            row=int(sim.row[missing[0]]),
            expected=f"a row of {raw.source} with that {'uid' if column == UID else 'image'}",
            found=f"{column} {sim.table[column].iloc[missing[0]]}",
            remedy="give the raw particles that were simulated, or simulate this selection of them anew",
        )


def _refuse_twice(particles: Particles, images: pd.MultiIndex, twice: NDArray[np.int64], kind: str) -> None:
    """Refuse raw images that stand in two rows."""
    if not len(twice):
        return
    row = int(twice[0])
    first = int(np.flatnonzero(images == images[row])[0])
    raise InputError(
        f"two {kind} particles stand for one raw image, so that pairs cannot be told",
        file=particles.source,
        row=int(particles.row[row]),
        found=f"the same image as in row {particles.row[first]}",
        remedy="remove the duplicate, or the symmetry expansion",
    )


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


class _Quantity(NamedTuple):
    """One property that the two rows of a pair share."""

    name: str
    unit: str
    difference: NDArray[np.float64]
    tolerance: float
    show: Callable[[Particles, int], str]


def _refuse_disagreement(sim: Particles, raw: Particles, quantities: list[_Quantity]) -> None:
    """Name the first row in which anything differs by more than its tolerance."""
    wrong = np.array([quantity.difference > quantity.tolerance for quantity in quantities])
    rows = np.flatnonzero(wrong.any(axis=0))
    if not len(rows):
        return
    row = int(rows[0])
    quantity = quantities[int(np.flatnonzero(wrong[:, row])[0])]
    expected, found = quantity.show(raw, row).strip(), quantity.show(sim, row).strip()
    by = f"{quantity.difference[row]:.4g}", f"{quantity.tolerance:g} {quantity.unit}".strip()
    raise InputError(
        f"a simulated particle and its raw one differ in {quantity.name} ({len(rows)} of {len(sim)} rows)",
        file=sim.source,
        row=int(sim.row[row]),
        expected=f"{expected}, as in row {raw.row[row]} of {raw.source}",
        found=f"{found}, which differs by {by[0]} where {by[1]} is tolerated",
        remedy="simulate these raw particles anew, or widen data.tolerances",
    )


def _poses(sim: Particles, raw: Particles, angle: float, shift: float) -> list[_Quantity]:
    a, b = (Rotation.from_euler("ZYZ", particles.angles, degrees=True) for particles in (sim, raw))
    turned = np.rad2deg((a.inv() * b).magnitude())
    moved = np.abs(sim.shift - raw.shift).max(axis=1) / raw.optics_column("pixel_size")
    return [
        _Quantity("pose", "degrees", turned, angle, lambda p, i: f"rot, tilt, psi {_vector(p.angles[i])}"),
        _Quantity("shift", "px", moved, shift, lambda p, i: f"{_vector(p.shift[i])} A"),
    ]


def _defocus_difference(sim: Particles, raw: Particles) -> NDArray[np.float64]:
    """Return the largest difference of defocus over all azimuths in A.

    With azimuth a the defocus is (U+V)/2 + (U-V)/2 cos 2(a - angle), so the largest difference of two is
    the difference of the means plus the length of the difference of the vectors (U-V)/2 (cos 2 angle,
    sin 2 angle). It is blind to what means nothing: half turns of the azimuth, U and V exchanged with a
    quarter turn, any azimuth where U = V.
    """
    mean, vector = [], []
    for particles in (sim, raw):
        u, v, azimuth = particles.defocus.T
        mean.append((u + v) / 2)
        vector.append((u - v) / 2 * np.exp(2j * np.deg2rad(azimuth)))
    largest: NDArray[np.float64] = np.abs(mean[0] - mean[1]) + np.abs(vector[0] - vector[1])
    return largest


def _ctf(sim: Particles, raw: Particles, defocus: float, phase_shift: float) -> list[_Quantity]:
    plate = np.abs(sim.phase_shift - raw.phase_shift)
    focus = _defocus_difference(sim, raw)
    return [
        _Quantity("defocus", "A", focus, defocus, lambda p, i: f"U, V, azimuth {_vector(p.defocus[i])}"),
        _Quantity("phase shift", "degrees", plate, phase_shift, lambda p, i: f"{p.phase_shift[i]:g} degrees"),
    ]


def _optics(sim: Particles, raw: Particles, column: str, compared: tuple[str, str, float]) -> _Quantity:
    """Compare one value of the optics group of each row: by its name, unit and tolerance."""
    name, unit, tolerance = compared
    difference = np.abs(sim.optics_column(column) - raw.optics_column(column))
    return _Quantity(name, unit, difference, tolerance, lambda p, i: f"{p.optics_column(column)[i]:g} {unit}")


def _field(sim: Particles, raw: Particles, tolerance: float) -> _Quantity:
    """Compare the fields of view, or the pixel sizes where a box size is not known."""
    if all(group.box_size is not None for particles in (sim, raw) for group in particles.optics):
        fields = [
            particles.optics_column("pixel_size") * particles.optics_column("box_size")
            for particles in (sim, raw)
        ]
        name = "field of view (box size x pixel size)"
    else:
        fields = [particles.optics_column("pixel_size") for particles in (sim, raw)]
        name = "pixel size"

    def show(particles: Particles, row: int) -> str:
        group = particles.optics[particles.optics_index[row]]
        return f"{group.box_size or 'unknown'} px at {group.pixel_size:g} A/px"

    return _Quantity(name, "(relative)", np.abs(fields[0] / fields[1] - 1), tolerance, show)


def _vector(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
