"""What is written is what is read again, in RELION 3.1's form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import starfile

from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.relion.star import read_star
from cryoalign.io.relion.write import write_particle_parts
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELDS = ("stack", "slot", "micrograph", "half")
NUMBERS = ("angles", "shift", "defocus", "phase_shift", "ctf_bfactor", "ctf_scale")


def _particles(count: int = 6, groups: Sequence[int] = (3, 5, 9)) -> Particles:
    rng = np.random.default_rng(4)
    optics = tuple(
        Optics(g, f"group {g}", 1.0 + g / 100, 300.0, 2.7, 0.1, 64, premultiplied=g == 5) for g in groups
    )
    table = {
        "rlnImageName": ["left@over"] * count,
        "rlnOriginX": [1.0] * count,
        "rlnVoltage": [999.0] * count,
        "rlnClassNumber": np.arange(count),
        "myLabel": [f"0{i}" for i in range(count)],
    }
    return Particles(
        source=Path("raw.star"),
        optics=optics,
        row=np.arange(count) + 1,
        optics_index=np.arange(count) % len(groups),
        stack=np.array(["Extract/a.mrcs", "b.mrcs"] * (count // 2)),
        slot=np.arange(count),
        micrograph=np.array(["mic 1.mrc", "0012"] * (count // 2)),
        angles=rng.uniform(-180, 180, (count, 3)),
        shift=rng.normal(size=(count, 2)),
        defocus=rng.uniform(5e3, 3e4, (count, 3)),
        phase_shift=rng.uniform(0, 90, count),
        ctf_bfactor=rng.uniform(0, 90, count),
        ctf_scale=rng.uniform(0.5, 1, count),
        half=np.array([1, 2] * (count // 2)),
        sign=np.ones(count),
        table=pd.DataFrame(table),
    )


def _assert_same(a: Particles, b: Particles) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-11)
    for name in (
        "pixel_size",
        "voltage",
        "spherical_aberration",
        "amplitude_contrast",
        "premultiplied",
        "box_size",
    ):
        np.testing.assert_allclose(a.optics_column(name), b.optics_column(name), rtol=1e-11)


def test_round_trip(tmp_path: Path) -> None:
    particles = _particles()
    write_particles(tmp_path / "a.star", particles)
    back = read_particles(tmp_path / "a.star")
    _assert_same(particles, back)
    assert back.table["rlnClassNumber"].tolist() == list(range(6))
    assert back.table["myLabel"].tolist() == [f"0{i}" for i in range(6)]
    assert [group.name for group in back.optics] == ["group 3", "group 5", "group 9"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.star"]


def test_form(tmp_path: Path) -> None:
    write_particles(tmp_path / "a.star", _particles().take([2, 5, 0]))
    tables = starfile.read(tmp_path / "a.star")
    assert list(tables) == ["optics", "particles"]
    assert tables["optics"]["rlnOpticsGroup"].tolist() == [1, 2]  # unused groups go, and RELION wants no gaps
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [2, 2, 1]
    assert not {"rlnOriginX", "rlnVoltage"} & set(tables["particles"].columns)
    assert "rlnCtfDataAreCtfPremultiplied" not in tables["optics"]
    _assert_same(_particles().take([2, 5, 0]), read_particles(tmp_path / "a.star"))


def test_aberrations_of_the_groups_in_use(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "beam_tilt": (0.5, -1 / 3),
        "odd_zernike": (0.0, 1e-9, 2.0),
        "even_zernike": (1.5,),
        "magnification": (1.01, 0.002, -0.003, 0.99),
    }
    plain = _particles()
    first, second, third = plain.optics
    optics = (first, replace(second, **values), replace(third, beam_tilt=(9.0, 9), odd_zernike=(3.0,) * 6))
    particles = replace(plain, optics=optics, table=plain.table.assign(rlnBeamTiltX=7.0))
    write_particles(tmp_path / "some.star", particles.take([0, 1, 3, 4]))
    back = read_particles(tmp_path / "some.star")
    assert "rlnBeamTiltX" not in back.table
    none, stated = back.optics
    assert (none.beam_tilt, none.odd_zernike, none.even_zernike) == ((0, 0), (0, 0, 0), (0,))
    assert none.magnification == (1, 0, 0, 1)
    for name, value in values.items():
        assert getattr(stated, name) == pytest.approx(value, rel=1e-11)

    write_particles(tmp_path / "none.star", particles.take([0, 3]))
    columns = starfile.read(tmp_path / "none.star")["optics"].columns
    assert not [name for name in columns if re.search("Tilt|Zernike|MagMat", name)]


def test_new_images(tmp_path: Path) -> None:
    particles = _particles()
    names = [f"{i + 1:06d}@sim.mrcs" for i in range(6)]
    write_particles(
        tmp_path / "a.star",
        particles,
        image_names=names,
        original_names=particles.image_name,
        box=32,
        pixel_size=2.5,
        extra={"myNew": np.arange(6) / 7, "rlnClassNumber": np.ones(6, int)},
    )
    back = read_particles(tmp_path / "a.star")
    assert back.image_name.tolist() == names
    assert back.table["rlnImageOriginalName"].tolist() == particles.image_name.tolist()
    assert {(group.box_size, group.pixel_size) for group in back.optics} == {(32, 2.5)}
    np.testing.assert_allclose(back.table["myNew"], np.arange(6) / 7, rtol=1e-11)
    assert back.table["rlnClassNumber"].tolist() == [1] * 6
    np.testing.assert_allclose(back.shift, particles.shift, rtol=1e-11)

    write_particles(
        tmp_path / "b.star", back, image_names=names
    )  # the next generation keeps the first one's name
    assert (
        read_particles(tmp_path / "b.star").table["rlnImageOriginalName"].tolist()
        == particles.image_name.tolist()
    )


def test_box_must_be_known(tmp_path: Path) -> None:
    particles = _particles()
    boxless = Optics(1, "a", 1.0, 300.0, 2.7, 0.1)
    object.__setattr__(particles, "optics", (boxless, boxless, boxless))
    with pytest.raises(ValueError, match="box size"):
        write_particles(tmp_path / "a.star", particles)


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["relion31.6opticsgroups", "sample_particles_relion30", "topaz_EMPIAR-10025_particles"]
)
def test_real_files_survive(shared_data: Path, tmp_path: Path, name: str) -> None:
    particles = read_particles(shared_data / "formats" / f"{name}.star")
    write_particles(tmp_path / "a.star", particles, box=100)
    back = read_particles(tmp_path / "a.star")
    for group in back.optics:
        (was,) = (each for each in particles.optics if each.name == group.name)
        assert (group.beam_tilt, group.odd_zernike) == (was.beam_tilt, was.odd_zernike)
        assert (group.even_zernike, group.magnification) == (was.even_zernike, was.magnification)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(particles, field), getattr(back, field))
    for field in NUMBERS:
        np.testing.assert_allclose(getattr(particles, field), getattr(back, field), rtol=1e-11, atol=1e-12)
    for column in set(particles.table.columns) & set(back.table.columns):
        if not column.startswith(("rlnOptics", "rlnDefocus", "rlnAngle", "rlnOrigin", "rlnImageName")):
            assert particles.table[column].tolist() == back.table[column].tolist(), column


def test_parts_make_the_file_that_the_whole_makes(tmp_path: Path) -> None:
    particles, notes = _particles(12), {"seed": 3}
    write_particles(tmp_path / "whole.star", particles, notes=notes)
    rows = np.split(np.arange(12), [5, 6])  # in the second only one group
    write_particle_parts(tmp_path / "parts.star", map(particles.take, rows), notes=notes)
    assert (tmp_path / "parts.star").read_bytes() == (tmp_path / "whole.star").read_bytes()


def test_parts_number_groups_that_none_of_them_has(tmp_path: Path) -> None:
    particles = _particles()
    third = particles.take(np.flatnonzero(particles.optics_index == 2))
    write_particle_parts(tmp_path / "parts.star", [third])
    tables = starfile.read(tmp_path / "parts.star")
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["group 3", "group 5", "group 9"]
    assert tables["particles"]["rlnOpticsGroup"].tolist() == [3, 3]


def test_notes_that_no_star_file_can_hold_are_json(tmp_path: Path) -> None:
    odd = ["tab\tx", "two\nlines", "latin\udce9", "a\" b' c"]
    write_particles(
        tmp_path / "a.star", _particles(), notes={"files": {name: name for name in odd}, "s": "ü'ä"}
    )
    table = read_star(tmp_path / "a.star")["simulation"]
    *names, plain = table["cryoalignParameter"]
    assert [json.loads(name) for name in names] == [f"files.{name}" for name in odd]
    assert [json.loads(value) for value in table["cryoalignValue"][:-1]] == odd
    assert (plain, table["cryoalignValue"].iloc[-1]) == ("s", "ü'ä")


def test_a_row_has_as_many_words_as_columns(tmp_path: Path) -> None:
    """Quotes or not: cryoDRGN splits every table so, and failed for shares and for folders with blanks."""
    notes = {
        "shares": [0.7, 0.3],
        "my maps/a b.mrc": "c\N{NO-BREAK SPACE}d e",
        "tab\t": "a\" b' c",
        "none": None,
    }
    particles = _particles()
    optics = tuple(replace(one, name=f"group_{one.group}") for one in particles.optics)
    micrograph = np.char.replace(particles.micrograph, " ", "_")
    write_particles(
        tmp_path / "a.star", replace(particles, optics=optics, micrograph=micrograph), notes=notes
    )
    columns, rows = 0, 0
    for line in (tmp_path / "a.star").read_text(encoding="utf-8").splitlines():
        if line.startswith("data_"):
            columns = 0
        elif line.startswith("_"):
            columns += 1
        elif columns and line.strip():
            assert len(line.split()) == columns, line
            rows += 1
    assert rows == len(particles) + len(optics) + len(notes)
    said = starfile.read(tmp_path / "a.star", parse_as_string=["cryoalignValue"])["simulation"]
    assert said.to_numpy().tolist()[:2] == [
        ["shares", "[0.7,0.3]"], [r"my\u0020maps/a\u0020b.mrc", r"c\u00a0d\u0020e"]
    ]  # fmt: skip
