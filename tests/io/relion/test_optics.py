"""Aberrations and magnification matrices of STAR files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles
from cryoalign.io.relion.aberrations import ABERRATIONS
from cryoalign.io.relion.star import read_star

if TYPE_CHECKING:
    from pathlib import Path

OPTICS = {
    "rlnOpticsGroup": ["1", "7"],
    "rlnVoltage": ["300", "200"],
    "rlnSphericalAberration": ["2.7", "2.0"],
    "rlnAmplitudeContrast": ["0.1", "0.07"],
    "rlnImagePixelSize": ["1.5", "1.51"],
}
POSE = {
    name: ["10", "20", "30"]
    for name in (
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnAnglePsi",
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
    )
}
PARTICLES = {**POSE, "rlnImageName": ["1@a.mrcs", "2@a.mrcs", "3@a.mrcs"], "rlnOpticsGroup": ["7", "1", "7"]}
SINGLE = {
    **{name: cells for name, cells in PARTICLES.items() if name != "rlnOpticsGroup"},
    **{name: [cells[0]] * 3 for name, cells in OPTICS.items() if name != "rlnOpticsGroup"},
}

Table = dict[str, list[str]]


def _star(path: Path, **tables: Table) -> Path:
    """Write tables without any library."""
    text = ""
    for name, table in tables.items():
        text += f"\ndata_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in table)
        text += "".join(" ".join(row) + "\n" for row in zip(*table.values(), strict=True))
    path.write_text(text)
    return path


def test_aberrations(tmp_path: Path) -> None:
    extra = {
        "rlnBeamTiltX": ["0.000", "0.5"],
        "rlnBeamTiltY": ["nan", "-0.25"],
        "rlnOddZernike": ["[0,0,0]", "[0,1e-3,-2]"],
        "rlnEvenZernike": ["None", "[]"],
        "rlnMagMat00": ["1.0", "1.01"],
        "rlnMagMat01": ["0", "0.02"],
        "rlnMagMat11": ["1", "0.98"],
    }
    first, second = read_particles(
        _star(tmp_path / "a.star", optics={**OPTICS, **extra}, particles=PARTICLES)
    ).optics
    assert first.beam_tilt == (0, 0)
    assert first.odd_zernike == (0, 0, 0)
    assert first.magnification == (1, 0, 0, 1)
    assert second.beam_tilt == (0.5, -0.25)
    assert second.odd_zernike == (0, 1e-3, -2)
    assert first.even_zernike == second.even_zernike == ()
    assert second.magnification == (1.01, 0.02, 0, 0.98)
    assert first.unmodelled == second.unmodelled == ()


def test_files_without_aberrations(tmp_path: Path) -> None:
    (group, _) = read_particles(_star(tmp_path / "a.star", optics=OPTICS, particles=PARTICLES)).optics
    assert group.beam_tilt == (0, 0)
    assert group.odd_zernike == group.even_zernike == ()
    assert group.magnification == (1, 0, 0, 1)


def test_an_old_file_has_a_group_for_each_beam_tilt(tmp_path: Path) -> None:
    table = {**SINGLE, "rlnBeamTiltX": ["0.5", "0.1", "0.5"], "rlnOddZernike": ["[1,2]", "[1,2]", "[1,2]"]}
    particles = read_particles(_star(tmp_path / "old.star", images=table))
    tilts = [particles.optics[index].beam_tilt for index in particles.optics_index]
    assert tilts == [(0.5, 0), (0.1, 0), (0.5, 0)]
    assert all(group.odd_zernike == (1, 2) for group in particles.optics)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("rlnBeamTiltX", "0.1mrad", "rlnBeamTiltX cannot be read(.|\n)*a finite number(.|\n)*0.1mrad"),
        ("rlnBeamTiltX", "[0.1]", "rlnBeamTiltX cannot be read"),
        ("rlnBeamTiltY", "inf", "rlnBeamTiltY cannot be read"),
        ("rlnOddZernike", "[0.1;0.2]", r"rlnOddZernike cannot be read(.|\n)*\[0.1,0.2\]"),
        ("rlnOddZernike", "[0.1,,0.2]", "rlnOddZernike cannot be read"),
        ("rlnEvenZernike", "[0.1,nan]", "rlnEvenZernike cannot be read"),
        ("rlnEvenZernike", "[0.1,0.2", "rlnEvenZernike cannot be read"),
        ("rlnMagMat00", "1.01,0", "rlnMagMat00 cannot be read"),
        ("rlnMagMat00", "0", "magnification matrix is not possible(.|\n)*0, 0, 0, 1: 0"),
        ("rlnMagMat11", "-1", "magnification matrix is not possible"),
        ("rlnMagMat01", "1e200", "magnification matrix is not possible(.|\n)*elements of -2 to 2"),
    ],
)
def test_malformed_aberrations(tmp_path: Path, column: str, cell: str, message: str) -> None:
    neutral = {name: "1" if name in {"rlnMagMat00", "rlnMagMat11"} else "0" for name in ABERRATIONS}
    extra = {name: [value, cell if name == column else value] for name, value in neutral.items()}
    path = _star(tmp_path / "a.star", optics={**OPTICS, **extra}, particles=PARTICLES)
    with pytest.raises(InputError, match=rf"row 2: (.|\n)*{message}"):
        read_particles(path)


@pytest.mark.realdata
def test_real_aberrations(shared_data: Path) -> None:
    """Of the six groups, as they stand in the file."""
    path = shared_data / "formats" / "relion31.6opticsgroups.star"
    cells, particles = read_star(path)["optics"], read_particles(path)
    assert [group.group for group in particles.optics] == [1, 2, 3, 4, 5, 6]
    for row, group in enumerate(particles.optics):
        assert list(group.odd_zernike) == json.loads(cells["rlnOddZernike"][row])
        assert list(group.even_zernike) == json.loads(cells["rlnEvenZernike"][row])
        tilt = [float(cells[f"rlnBeamTilt{axis}"][row]) for axis in "XY"]
        matrix = [float(cells[f"rlnMagMat{place}"][row]) for place in ("00", "01", "10", "11")]
        assert (list(group.beam_tilt), list(group.magnification)) == (tilt, matrix)
    first = particles.optics[0]
    assert first.beam_tilt == (0.657334, 0.884982)
    assert (first.odd_zernike[2], len(first.even_zernike)) == (2.54522458134, 9)
    assert first.magnification == (1.011472, 0.004231, 0.00456, 1.008858)


MAGNIFIED = {"rlnMagnification": ["37381"] * 3, "rlnDetectorPixelSize": ["5"] * 3}  # 1.33758 A


@pytest.mark.parametrize("name", ["rlnPixelSize", "rlnImagePixelSize"])
def test_two_pixel_sizes_of_one_particle(tmp_path: Path, name: str) -> None:
    single = {key: cells for key, cells in SINGLE.items() if key != "rlnImagePixelSize"} | MAGNIFIED
    path = _star(tmp_path / "a.star", images=single | {name: ["1.34", "1.338", "2.0"]})
    with pytest.raises(InputError, match=f"row 3: {name} contradicts rlnMagnification and rln") as caught:
        read_particles(path)
    assert f"{name} 2 A" in str(caught.value)
    assert "= 1.338 A" in str(caught.value)
    decided = read_particles(path, pixel_size=1.5)
    assert [group.pixel_size for group in decided.optics] == [1.5]
    moved = _star(path, images=single | {name: ["1.338"] * 3, "rlnOriginX": ["2"] * 3})
    assert read_particles(moved).optics[0].pixel_size == 1.338
    assert read_particles(moved, pixel_size=1.5).shift[0].tolist() == [3.0, 0.0]
    for size in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="pixel_size is out of range"):
            read_particles(moved, pixel_size=size)


def test_a_table_of_optics_has_one_pixel_size(tmp_path: Path) -> None:
    """RELION reads rlnImagePixelSize there, and nothing else."""
    optics = OPTICS | {name: cells[:2] for name, cells in MAGNIFIED.items()}
    read = read_particles(_star(tmp_path / "a.star", optics=optics, particles=PARTICLES))
    assert [group.pixel_size for group in read.optics] == [1.5, 1.51]


def test_a_contradiction_as_found(shared_data: Path) -> None:
    with pytest.raises(InputError, match="contradicts"):
        read_particles(shared_data / "faults" / "star30_two_pixel_sizes.star")
