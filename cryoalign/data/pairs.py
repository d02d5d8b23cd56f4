"""Which simulated image belongs to which measured one, and whether both really show the same particle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from cryoalign.data.matching_rows import matching_rows
from cryoalign.data.pair_optics import check_aberrations
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoalign.particles import Particles


def match_pairs(sim: Particles, raw: Particles, **tolerances: float) -> tuple[Particles, Particles]:
    """Match simulated with measured particles and refuse what disagrees.

    Which rows belong together is found by `cryoalign.data.matching_rows.matching_rows`; any way their poses,
    shifts and CTFs have to agree.

    Parameters
    ----------
    sim, raw : Particles
        Simulated and measured particles.
    **tolerances : float
        Of `check_agreement`.

    Returns
    -------
    sim, raw : Particles
        Of the same length and order, the order of `sim`.

    Raises
    ------
    InputError
        If rows cannot be matched, naming the first of `sim`, or a pair disagrees.
    """
    sim, raw = matching_rows(sim, raw)
    check_agreement(sim, raw, **tolerances)
    return sim, raw


def check_agreement(
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
) -> None:
    """Refuse pairs whose poses, shifts or CTFs differ.

    Parameters
    ----------
    sim, raw : Particles
        Simulated and measured particles, row by row.
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

    Raises
    ------
    InputError
        Naming the first row of `sim` that disagrees.
    """
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
