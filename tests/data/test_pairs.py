"""Pairs are found by name or by row, and never made of what disagrees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from tests.data.paired_tables import COUNT, foreign, measured, simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoalign.particles import Particles


@pytest.fixture
def raw() -> Particles:
    return measured()


def test_row_by_row_without_the_column(raw: Particles) -> None:
    sim, matched = match_pairs(foreign(raw), raw)
    assert matched.row.tolist() == sim.row.tolist()
    with pytest.raises(InputError, match=r"not as many(.|\n)*6 rows(.|\n)*5 rows"):
        match_pairs(foreign(raw).take(range(5)), raw)
    with pytest.raises(InputError, match=r"row 1: .*differ in pose \(6 of 6 rows\)"):
        match_pairs(foreign(raw.take([1, 2, 3, 4, 5, 0])), raw)


def test_the_same_rotation_in_other_angles(raw: Particles) -> None:
    rot, tilt, psi = raw.angles.T
    other = np.column_stack([rot + 180, -tilt, psi - 180])
    match_pairs(replace(foreign(raw), angles=other), raw)
    match_pairs(replace(foreign(raw), angles=raw.angles + np.array([360, 0, -360])), raw)
    poles = replace(raw, angles=np.tile([30.0, 0.0, 40.0], (COUNT, 1)))
    match_pairs(replace(foreign(poles), angles=np.tile([70.0, 0.0, 0.0], (COUNT, 1))), poles)


def test_the_same_defocus_in_other_numbers(raw: Particles) -> None:
    for same in ([12000, 11000, 210], [12000, 11000, -150], [11000, 12000, 120]):
        match_pairs(replace(foreign(raw), defocus=np.tile(np.array(same, float), (COUNT, 1))), raw)
    stigmatic = replace(raw, defocus=np.tile([12000.0, 12000.0, 30.0], (COUNT, 1)))
    match_pairs(replace(foreign(stigmatic), defocus=np.tile([12000.0, 12000.0, 77.0], (COUNT, 1))), stigmatic)


def _turned(angles: np.ndarray, degrees: float) -> np.ndarray:
    turn = Rotation.from_rotvec([0, np.deg2rad(degrees), 0])
    return (Rotation.from_euler("ZYZ", angles, degrees=True) * turn).as_euler("ZYZ", degrees=True)


def _add(*values: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda column: column + np.array(values)


def _changed(column: str, change: Callable[[np.ndarray], Any]) -> Callable[[Particles], Particles]:
    """Change one column in rows 3 and 5."""

    def apply(particles: Particles) -> Particles:
        values = getattr(particles, column).copy()
        values[[2, 4]] = change(values[[2, 4]])
        return replace(particles, **{column: values})

    return apply


def _other_optics(**values: object) -> Callable[[Particles], Particles]:
    def apply(particles: Particles) -> Particles:
        optics = (*particles.optics, replace(particles.optics[0], **values))
        return _changed("optics_index", lambda index: index * 0 + 2)(replace(particles, optics=optics))

    return apply


@pytest.mark.parametrize("make", [simulated, foreign])
@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        (
            "pose",
            _changed("angles", lambda a: _turned(a, 0.009)),
            _changed("angles", lambda a: _turned(a, 0.011)),
        ),
        ("shift", _changed("shift", _add(0.0148, 0)), _changed("shift", _add(0, -0.0152))),
        ("defocus", _changed("defocus", _add(0.9, 0.9, 0)), _changed("defocus", _add(1.1, 1.1, 0))),
        ("defocus", _changed("defocus", _add(0, 0, 0.05)), _changed("defocus", _add(0, 0, 0.06))),
        (
            "defocus",
            _changed("defocus", _add(0, 0, 180)),
            _changed("defocus", lambda d: d * np.array([1, 1, -1])),
        ),
        (
            "phase shift",
            _changed("phase_shift", lambda p: p + 0.005),
            _changed("phase_shift", lambda p: p + 0.02),
        ),
        ("voltage", _other_optics(voltage=300.05), _other_optics(voltage=200.0)),
        (
            "spherical aberration",
            _other_optics(spherical_aberration=2.7005),
            _other_optics(spherical_aberration=2.6),
        ),
        (
            "amplitude contrast",
            _other_optics(amplitude_contrast=0.1005),
            _other_optics(amplitude_contrast=0.07),
        ),
        (
            "rlnCtfDataAreCtfPremultiplied",
            _other_optics(name="other"),
            _other_optics(premultiplied=True),
        ),
        ("field of view", _other_optics(pixel_size=1.52), _other_optics(pixel_size=1.54)),
        ("field of view", _other_optics(box_size=32, pixel_size=3.0), _other_optics(box_size=32)),
        (
            "pixel size",
            _other_optics(box_size=None, pixel_size=1.52),
            _other_optics(box_size=None, pixel_size=1.6),
        ),
    ],
)
def test_tolerances(
    raw: Particles,
    make: Callable[[Particles], Particles],
    inside: Callable[[Particles], Particles],
    outside: Callable[[Particles], Particles],
    name: str,
) -> None:
    assert len(match_pairs(inside(make(raw)), raw)[0]) == COUNT
    with pytest.raises(
        InputError, match=rf"sim\.star, row 3: .*{name}.*\(2 of 6 rows\)(.|\n)*in row 3 of raw\.star"
    ):
        match_pairs(outside(make(raw)), raw)


def test_tolerances_are_arguments(raw: Particles) -> None:
    sim = _changed("defocus", _add(50.0, 50.0, 0))(foreign(raw))
    match_pairs(sim, raw, defocus=51)
    with pytest.raises(InputError, match="49 A is tolerated"):
        match_pairs(sim, raw, defocus=49)
