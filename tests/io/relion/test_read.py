"""RELION STAR files in all their forms, against values worked out by hand and a plain parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.particles import Particles

OPTICS = {
    "rlnOpticsGroup": ["1", "7"],
    "rlnOpticsGroupName": ["krios", "arctica"],
    "rlnVoltage": ["300", "200"],
    "rlnSphericalAberration": ["2.7", "2.0"],
    "rlnAmplitudeContrast": ["0.1", "0.07"],
    "rlnImagePixelSize": ["1.5", "1.51"],
    "rlnImageSize": ["64", "64"],
    "rlnCtfDataAreCtfPremultiplied": ["0", "1"],
}
PARTICLES = {
    "rlnImageName": ["000002@a/b.mrcs", "1@c.mrc", "single.mrc"],
    "rlnMicrographName": ["0012", "0012", "None"],
    "rlnAngleRot": ["10", "-20", "30.5"],
    "rlnAngleTilt": ["1", "2", "3"],
    "rlnAnglePsi": ["4", "5", "6"],
    "rlnOriginXAngst": ["1.5", "0", "-3"],
    "rlnOriginYAngst": ["0", "1", "2"],
    "rlnDefocusU": ["10000", "11000", "12000"],
    "rlnDefocusV": ["9000", "10500", "12000"],
    "rlnDefocusAngle": ["35", "-10", "0"],
    "rlnPhaseShift": ["90", "0", "0"],
    "rlnRandomSubset": ["1", "2", "1"],
    "rlnOpticsGroup": ["7", "1", "7"],
}
SINGLE = {
    **{name: cells for name, cells in PARTICLES.items() if "Origin" not in name and "Optics" not in name},
    "rlnOriginX": ["1", "0", "-2"],
    "rlnOriginY": ["0", "1", "2"],
    "rlnVoltage": ["300", "200", "300"],
    "rlnSphericalAberration": ["2.7", "2.7", "2.7"],
    "rlnAmplitudeContrast": ["0.1", "0.1", "0.1"],
    "rlnMagnification": ["50000", "40000", "50000"],
    "rlnDetectorPixelSize": ["5", "5", "5"],
}

Table = dict[str, list[str]]


def star(path: Path, **tables: Table) -> Path:
    """Write tables without any library; the name ``single`` stands for a table without a name."""
    text = ""
    for name, table in tables.items():
        text += f"\ndata_{'' if name == 'single' else name}\n\nloop_\n"
        text += "".join(f"_{label}\n" for label in table)
        text += "".join(" ".join(row) + "\n" for row in zip(*table.values(), strict=True))
    path.write_text(text)
    return path


def without(table: Table, *names: str) -> Table:
    return {name: cells for name, cells in table.items() if name not in names}


def given(table: Table, name: str, row: int, cell: str) -> Table:
    cells = table[name].copy()
    cells[row] = cell
    return {**table, name: cells}


def test_table_with_optics(tmp_path: Path) -> None:
    particles = read_particles(star(tmp_path / "a.star", optics=OPTICS, particles=PARTICLES))
    assert len(particles) == 3
    first, second = particles.optics
    assert (first.group, first.name, first.pixel_size, first.voltage) == (1, "krios", 1.5, 300)
    assert (second.group, second.spherical_aberration, second.amplitude_contrast) == (7, 2.0, 0.07)
    assert (second.box_size, first.premultiplied, second.premultiplied) == (64, False, True)
    np.testing.assert_array_equal(particles.optics_index, [1, 0, 1])
    np.testing.assert_array_equal(particles.row, [1, 2, 3])
    np.testing.assert_array_equal(particles.stack, ["a/b.mrcs", "c.mrc", "single.mrc"])
    np.testing.assert_array_equal(particles.slot, [1, 0, 0])
    np.testing.assert_array_equal(particles.micrograph, ["0012", "0012", "None"])
    np.testing.assert_array_equal(particles.angles[:, 0], [10, -20, 30.5])
    np.testing.assert_array_equal(particles.shift, [[1.5, 0], [0, 1], [-3, 2]])
    np.testing.assert_array_equal(particles.defocus[1], [11000, 10500, -10])
    np.testing.assert_array_equal(particles.phase_shift, [90, 0, 0])
    np.testing.assert_array_equal(particles.half, [1, 2, 1])
    np.testing.assert_array_equal(particles.ctf_bfactor, 0)
    np.testing.assert_array_equal(particles.ctf_scale, 1)
    assert particles.table["rlnMicrographName"].tolist() == ["0012", "0012", "None"]
    assert particles.table["rlnDefocusU"].dtype == np.int64


@pytest.mark.parametrize("name", ["single", "images", "particles", "model_class_1"])
def test_single_table(tmp_path: Path, name: str) -> None:
    particles = read_particles(star(tmp_path / "a.star", **{name: SINGLE}))
    assert [group.pixel_size for group in particles.optics] == [1.0, 1.25]
    assert [group.voltage for group in particles.optics] == [300, 200]
    np.testing.assert_array_equal(particles.optics_index, [0, 1, 0])
    np.testing.assert_allclose(particles.shift, [[1, 0], [0, 1.25], [-2, 2]])


def test_single_table_makes_an_optics_group_of_each_combination_in_order(tmp_path: Path) -> None:
    table = {**SINGLE, "rlnVoltage": ["300", "200", "100"], "rlnBeamTiltX": ["0", "0.1", "0.1"]}
    particles = read_particles(star(tmp_path / "a.star", single=table))
    assert [group.voltage for group in particles.optics] == [300, 200, 100]
    assert [group.group for group in particles.optics] == [1, 2, 3]
    assert [group.beam_tilt for group in particles.optics] == [(0, 0), (0.1, 0), (0.1, 0)]


def test_what_may_be_missing(tmp_path: Path) -> None:
    table = without(
        PARTICLES,
        "rlnOriginXAngst",
        "rlnOriginYAngst",
        "rlnMicrographName",
        "rlnRandomSubset",
        "rlnOpticsGroup",
    )
    optics = {name: cells[:1] for name, cells in OPTICS.items() if name != "rlnImageSize"}
    particles = read_particles(star(tmp_path / "a.star", optics=optics, particles=table))
    np.testing.assert_array_equal(particles.shift, 0)
    np.testing.assert_array_equal(particles.half, 0)
    np.testing.assert_array_equal(particles.micrograph, "")
    assert particles.optics[0].box_size is None


def test_columns_that_would_not_come_back_stay_text(tmp_path: Path) -> None:
    extra = {"myId": ["007", "008", "010"], "myNan": ["nan", "1", "2"], "myText": ["a", "nan", "c"]}
    particles = read_particles(star(tmp_path / "a.star", optics=OPTICS, particles={**PARTICLES, **extra}))
    assert particles.table["myId"].tolist() == extra["myId"]
    assert particles.table["myText"].tolist() == extra["myText"]
    np.testing.assert_array_equal(particles.table["myNan"], [np.nan, 1, 2])


@pytest.mark.parametrize(
    ("optics", "table", "message"),
    [
        (OPTICS, without(PARTICLES, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), "no pose columns"),
        (OPTICS, without(PARTICLES, "rlnAngleTilt"), r"pose columns are missing(.|\n)*no rlnAngleTilt"),
        (OPTICS, without(PARTICLES, "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"), "no CTF columns"),
        (without(OPTICS, "rlnVoltage"), PARTICLES, r"CTF columns are missing in table data_optics"),
        (without(OPTICS, "rlnImagePixelSize"), PARTICLES, r"no pixel size in table data_optics"),
        (OPTICS, without(PARTICLES, "rlnImageName"), r"no table of particles(.|\n)*rlnImageName"),
        (OPTICS, without(PARTICLES, "rlnOpticsGroup"), "do not say to which optics group"),
        (OPTICS, given(PARTICLES, "rlnOpticsGroup", 2, "3"), r"row 3: (.|\n)*one of 1, 7(.|\n)*found: 3"),
        (OPTICS, given(PARTICLES, "rlnOpticsGroup", 2, "1.5"), "row 3: rlnOpticsGroup is not a whole number"),
        (OPTICS, given(PARTICLES, "rlnDefocusV", 1, "inf"), r"row 2: rlnDefocusV(.|\n)*found: inf"),
        (OPTICS, given(PARTICLES, "rlnAngleRot", 1, "nan"), r"row 2: rlnAngleRot(.|\n)*found: nan"),
        (OPTICS, given(PARTICLES, "rlnOriginXAngst", 0, "abc"), r"row 1: rlnOriginXAngst(.|\n)*found: abc"),
        (OPTICS, given(PARTICLES, "rlnImageName", 1, "0@a.mrcs"), r"row 2: rlnImageName(.|\n)*0@a.mrcs"),
        (OPTICS, given(PARTICLES, "rlnImageName", 1, "x@a.mrcs"), r"row 2: rlnImageName(.|\n)*x@a.mrcs"),
        (given(OPTICS, "rlnVoltage", 1, "200000"), PARTICLES, r"row 2: the rlnVoltage in kV is not possible"),
        (given(OPTICS, "rlnImagePixelSize", 0, "0"), PARTICLES, "row 1: the pixel size in A is not possible"),
        (given(OPTICS, "rlnAmplitudeContrast", 0, "7"), PARTICLES, "row 1: the rlnAmplitudeContrast is"),
        (given(OPTICS, "rlnOpticsGroup", 1, "1"), PARTICLES, "row 2: optics group 1 is there twice"),
        ({**OPTICS, "rlnImageDimensionality": ["2", "3"]}, PARTICLES, r"row 2: the particles are not 2D"),
        ({name: [] for name in OPTICS}, PARTICLES, "data_optics has no rows"),
        (OPTICS, {name: [] for name in PARTICLES}, "particles has no rows"),
        (OPTICS, {**PARTICLES, "rlnOriginX": ["1", "1", "-2"]},
         r"row 2: rlnOriginXAngst contradicts rlnOriginX \(1 of 3(.|\n)*1.5 A by the pixel size"),
    ],
)  # fmt: skip
def test_bad_table(tmp_path: Path, optics: Table, table: Table, message: str) -> None:
    path = star(tmp_path / "bad.star", optics=optics, particles=table)
    with pytest.raises(InputError, match=message) as caught:
        read_particles(path)
    assert str(caught.value).startswith(str(path))


def test_two_origins_that_agree(tmp_path: Path) -> None:
    table = {**PARTICLES, "rlnOriginX": ["0.993377", "0", "-1.986755"]}
    assert read_particles(star(tmp_path / "a.star", optics=OPTICS, particles=table)).shift[2, 0] == -3


def test_bad_single_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pixel size(.|\n)*rlnMagnification and rlnDetectorPixelSize"):
        read_particles(star(tmp_path / "a.star", images=without(SINGLE, "rlnMagnification")))
    with pytest.raises(InputError, match="row 2: the magnification is not positive"):
        read_particles(star(tmp_path / "b.star", images=given(SINGLE, "rlnMagnification", 1, "0")))
    with pytest.raises(InputError, match="several tables have the column"):
        read_particles(star(tmp_path / "c.star", images=SINGLE, more=SINGLE))


def _independent(path: Path, table: str) -> dict[str, list[str]]:
    """Parse one loop table in the plainest way."""
    labels: list[str] = []
    rows: list[list[str]] = []
    inside = False
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("data_"):
            inside = line.strip() == f"data_{table}"
        elif inside and words and line.startswith("_"):
            labels.append(words[0][1:])
        elif inside and words and not line.startswith("loop_"):
            rows.append(words)
    return {label: [row[i] for row in rows] for i, label in enumerate(labels)}


def _numbers(table: dict[str, list[str]], *names: str) -> np.ndarray:
    return np.array([[float(cell) for cell in table[name]] for name in names]).T


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "table", "rows"),
    [
        ("formats/relion31.6opticsgroups.star", "particles", 139),
        ("formats/sample_particles_relion30.star", "model_class_1", 17),
        ("formats/sample_particles_relion31.star", "particles", 17),
        ("formats/topaz_EMPIAR-10025_particles.star", "images", 1500),
        ("krios_bgal/particles.star", "particles", 720),
        ("ribosome_10499/particles.star", "particles", 1430),
    ],
)
def test_real_files(shared_data: Path, name: str, table: str, rows: int) -> None:
    particles = read_particles(shared_data / name)
    cells = _independent(shared_data / name, table)
    assert len(particles) == rows == len(cells["rlnImageName"])
    np.testing.assert_array_equal(
        particles.angles, _numbers(cells, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    )
    np.testing.assert_array_equal(
        particles.defocus, _numbers(cells, "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
    )
    assert particles.micrograph.tolist() == cells["rlnMicrographName"]
    assert [int(image.split("@")[0]) - 1 for image in cells["rlnImageName"]] == particles.slot.tolist()
    assert [image.split("@")[1] for image in cells["rlnImageName"]] == particles.stack.tolist()
    if "rlnMagnification" in cells:
        pixel_size = 1e4 * _numbers(cells, "rlnDetectorPixelSize") / _numbers(cells, "rlnMagnification")
        voltage = _numbers(cells, "rlnVoltage")[:, 0]
        np.testing.assert_allclose(particles.shift, _numbers(cells, "rlnOriginX", "rlnOriginY") * pixel_size)
        np.testing.assert_allclose(particles.optics_column("pixel_size"), pixel_size[:, 0])
    else:
        optics = _independent(shared_data / name, "optics")
        group = [optics["rlnOpticsGroup"].index(cell) for cell in cells["rlnOpticsGroup"]]
        voltage = _numbers(optics, "rlnVoltage")[group, 0]
        np.testing.assert_array_equal(particles.shift, _numbers(cells, "rlnOriginXAngst", "rlnOriginYAngst"))
        np.testing.assert_array_equal(
            particles.optics_column("pixel_size"), _numbers(optics, "rlnImagePixelSize")[group, 0]
        )
    np.testing.assert_array_equal(particles.optics_column("voltage"), voltage)


@pytest.mark.realdata
def test_old_and_new_form_of_the_same_particles_agree(shared_data: Path) -> None:
    def read(version: str) -> Particles:
        return read_particles(shared_data / "formats" / f"sample_particles_relion{version}.star")

    # Whoever made the 3.1 file copied row 14 over row 15 and kept the origins' numbers, px for A.
    rows = np.delete(np.arange(17), 14)
    old, new = read("30").take(rows), read("31").take(rows)
    for name in ("stack", "slot", "micrograph", "half", "angles", "defocus"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
    for name in ("phase_shift", "ctf_bfactor", "ctf_scale"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
    for name in ("voltage", "spherical_aberration", "amplitude_contrast", "premultiplied"):
        np.testing.assert_array_equal(old.optics_column(name), new.optics_column(name))
    np.testing.assert_allclose(old.shift, new.shift * 50000 / 37369.207031, rtol=1e-12)
    assert sorted(np.unique(new.optics_column("voltage"))) == [200, 300]


@pytest.mark.realdata
def test_real_flags(shared_data: Path) -> None:
    tilts = read_particles(shared_data / "ribosome_10499" / "particles.star")
    assert [(group.premultiplied, group.box_size) for group in tilts.optics] == [(True, 32)]
