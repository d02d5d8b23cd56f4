"""Numbers in another unit are refused; the rare ones that are right pass."""

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


def particles(defocus: float | list[float], cs: float = 2.7, phase_shift: float = 0.0) -> Particles:
    column = np.atleast_1d(np.array(defocus, dtype=np.float64))
    optics = [Optics(1, "krios", 1.2, 300.0, cs, 0.1)]
    count = len(column)
    return Particles.make(
        Path("run_data.star"),
        optics,
        count,
        defocus=np.column_stack([column, column, np.zeros(count)]),
        phase_shift=np.full(count, phase_shift),
    )


@pytest.mark.parametrize(
    ("defocus", "said"),
    [
        (1.5, "in um?"),
        (-2.1, "in um?"),
        ([0.8, 1.4, 2.0, 15000.0], "a median of 1.7"),
        (1.5e8, "is its unit right?"),
        (1e6, "100 to 100,000"),
    ],
)
def test_a_defocus_in_another_unit(defocus: float | list[float], said: str) -> None:
    with pytest.raises(InputError, match=r"run_data\.star: the defocus is not possible") as caught:
        check_units(particles(defocus))
    assert said in str(caught.value)
    assert "1 um are 10,000 A" in str(caught.value)


@pytest.mark.parametrize("cs", [2700.0, 10000.0, -2000.0])
def test_a_spherical_aberration_in_um(cs: float) -> None:
    with pytest.raises(InputError, match=r"optics group krios is not possible; in um\?(.|\n)*expected: mm"):
        check_units(particles(15000, cs))


@pytest.mark.parametrize(
    "given",
    [
        particles([100.0, 99_000.0, -5000.0]),
        particles(-15000.0),  # overfocus
        particles(500.0, phase_shift=90.0),  # a phase plate
        particles(0.0),  # no CTF
        particles([0.0, 0.0, 15000.0]),
        particles(15000.0, 0.01),  # a corrected microscope
        particles(15000.0, 0.0),
    ],
)
def test_what_is_rare_passes(given: Particles, caplog: pytest.LogCaptureFixture) -> None:
    check_units(given)
    assert not caplog.records


def test_what_may_be_in_nm_is_said(caplog: pytest.LogCaptureFixture) -> None:
    check_units(particles([1200.0, 1600.0, 1500.0]))
    assert "median defocus of 1500 A is very small without a phase plate; in nm?" in caplog.text


def test_every_format_is_looked_at(tmp_path: Path) -> None:
    table = cryosparc_particles()
    table["ctf/df1_A"], table["ctf/df2_A"] = 1.5, 1.4
    with pytest.raises(InputError, match=r"a\.cs: the defocus is not possible"):
        read_particles(save(tmp_path / "a.cs", table))


def test_a_pixel_size_is_given_to_star_files_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "a.cs", cryosparc_particles())
    with pytest.raises(InputError, match="pixel_size belongs to STAR files"):
        read_particles(path, pixel_size=1.5)


def test_what_no_ctf_has_is_named_by_its_column(tmp_path: Path) -> None:
    table = cryosparc_particles()
    table["ctf/bfactor"][2] = -1e6
    with pytest.raises(InputError, match=r"a\.cs, row 3: ctf/bfactor is not possible \(1 of 8 rows\)"):
        read_particles(save(tmp_path / "a.cs", table))


@pytest.mark.parametrize("cs", [0.0027, 0.0012, 0.004])
def test_a_spherical_aberration_in_m(cs: float) -> None:
    with pytest.raises(InputError, match=rf"not possible; in m\?(.|\n)*{1000 * cs:g} mm"):
        check_units(particles(15000, cs))


def test_corrected_lenses_pass() -> None:
    for cs in (0.001, 0.01, 0.05):
        check_units(particles(15000, cs))


def test_u_and_v_far_apart_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    given = particles([15000.0, 14000.0, 10000.0])
    check_units(given)
    assert not caplog.text
    given.defocus[1, 0] = 140000.0
    check_units(given)
    assert "row 2: defocus U 140000 A and V 14000 A are far apart (1 of 3 rows)" in caplog.text
