"""Degrees and radians taken for each other are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.metadata import read_particles
from cryoalign.io.units import check_units
from cryoalign.particles import Optics, Particles
from tests.io.cryosparc_files import particles as cryosparc_particles
from tests.io.cryosparc_files import save


def posed(angles: np.ndarray, **others: object) -> Particles:
    count = len(angles)
    defocus = np.tile([15000.0, 14900.0, 10.0], (count, 1))
    optics = [Optics(1, "krios", 1.2, 300.0, 2.7, 0.1)]
    fields = {"defocus": defocus, "angles": angles} | others
    return Particles.make(Path("run_data.star"), optics, count, **fields)


def views(count: int, largest: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.uniform(low, largest, count) for low in (-largest, 0, -largest)])


def test_angles_in_radians() -> None:
    with pytest.raises(InputError, match=r"in radians\?(.|\n)*expected: degrees"):
        check_units(posed(views(20, np.pi)))


@pytest.mark.parametrize(
    "angles",
    [views(20, 180.0), views(19, np.pi), np.zeros((50, 3)), views(50, 0.4), np.full((30, 3), 2.0)],
)
def test_degrees_pass(angles: np.ndarray) -> None:
    """Also few rows, and poses that are all alike or nearly so."""
    check_units(posed(angles))


def test_an_angle_of_many_turns() -> None:
    angles = views(30, 180.0)
    angles[4, 1] = 1e300
    with pytest.raises(InputError, match=r"row 5: the angle tilt is not possible"):
        check_units(posed(angles))


def test_a_phase_shift_beyond_a_turn() -> None:
    check_units(posed(views(3, 180.0), phase_shift=np.full(3, 360.0)))
    with pytest.raises(InputError, match=r"row 1: a phase shift is not possible(.|\n)*found: 5157"):
        check_units(posed(views(3, 180.0), phase_shift=np.full(3, 5157.0)))


def test_cryosparcs_phase_shift_and_poses_in_degrees(tmp_path: Path) -> None:
    table = cryosparc_particles(5)
    table["ctf/phase_shift_rad"] = 90.0
    with pytest.raises(InputError, match=r"ctf/phase_shift_rad in degrees\?(.|\n)*found: 90 \(5 of 5"):
        read_particles(save(tmp_path / "a.cs", table))
    table["ctf/phase_shift_rad"] = 1.57
    table["alignments3D/pose"] = np.rad2deg(table["alignments3D/pose"])
    with pytest.raises(InputError, match=r"alignments3D/pose(.|\n)*in degrees\?"):
        read_particles(save(tmp_path / "b.cs", table))
