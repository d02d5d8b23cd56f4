"""What cannot be in a STAR file is refused with what was expected, what came, and what to do."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.metadata import read_particles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPTICS = {
    "rlnOpticsGroup": "1",
    "rlnImageSize": "32",
    "rlnImagePixelSize": "2.5",
    "rlnVoltage": "300",
    "rlnSphericalAberration": "2.7",
    "rlnAmplitudeContrast": "0.1",
    "rlnCtfDataAreCtfPremultiplied": "0",
    "rlnImageDimensionality": "2",
    "rlnBeamTiltX": "0",
    "rlnMagMat00": "1",
    "rlnMagMat01": "0",
    "rlnMagMat10": "0",
    "rlnMagMat11": "1",
}
PARTICLE = {
    "rlnImageName": "000001@particles.mrcs",
    "rlnOpticsGroup": "1",
    "rlnAngleRot": "10",
    "rlnAngleTilt": "20",
    "rlnAnglePsi": "30",
    "rlnOriginXAngst": "0",
    "rlnOriginYAngst": "0",
    "rlnDefocusU": "15000",
    "rlnDefocusV": "14000",
    "rlnDefocusAngle": "40",
    "rlnRandomSubset": "1",
}


def star(optics: dict[str, str], particle: dict[str, str], rows: int = 3) -> str:
    """Return a STAR file, whose last row is the particle."""
    text = ""
    for name, row, count in (("optics", optics, 1), ("particles", particle, rows)):
        usual = PARTICLE if name == "particles" else optics
        text += f"\ndata_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in row)
        text += "".join(" ".join((row if n == count - 1 else usual).values()) + "\n" for n in range(count))
    return text


def test_the_file_that_is_spoiled_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "run.star"
    path.write_text(star(OPTICS, PARTICLE))
    assert len(read_particles(path)) == 3


@pytest.mark.parametrize(
    ("column", "value", "remedy"),
    [
        ("rlnImageSize", "32.5", "box size in px"),
        ("rlnImageSize", "0", "box size in px"),
        ("rlnImageSize", "-32", "box size in px"),
        ("rlnImagePixelSize", "-12", "pixel_size="),
        ("rlnVoltage", "0", "80 to 300 kV"),
        ("rlnAmplitudeContrast", "7", "0.07 to 0.1"),
        ("rlnCtfDataAreCtfPremultiplied", "2", "write 1 if the images were multiplied"),
        ("rlnImageDimensionality", "3", "2D images"),
        ("rlnSphericalAberration", "inf", "correct the cell"),
        ("rlnOpticsGroup", "1.5", "correct the cell"),
        ("rlnOpticsGroup", "2", "add the group to data_optics"),
        ("rlnBeamTiltX", "far", "correct the cell, or remove the column rlnBeamTiltX"),
        ("rlnMagMat00", "9", "1, 0, 0, 1"),
        ("rlnImageName", "x@particles.mrcs", "000001@stack.mrcs"),
        ("rlnImageName", "0@particles.mrcs", "000001@stack.mrcs"),
        ("rlnAngleRot", "abc", "correct the cell"),
        ("rlnAngleTilt", "1e7", "not radians"),
        ("rlnDefocusU", "nan", "correct the cell"),
        ("rlnRandomSubset", "1.5", "correct the cell"),
    ],
)
def test_a_value_in_a_row(column: str, value: str, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "run.star"
    optics = OPTICS | ({column: value} if column in OPTICS and column != "rlnOpticsGroup" else {})
    particle = PARTICLE | ({column: value} if column in PARTICLE else {})
    path.write_text(star(optics, particle))
    with pytest.raises(InputError) as refused:
        read_particles(path)
    error = refused.value
    assert (error.file, error.row) == (path, 3 if column in PARTICLE else 1)
    assert str(error.expected)
    assert str(error.found).startswith(f"{float(value):g}" if value in {"1e7", "32.5"} else value)
    assert remedy in str(error.remedy)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "found", "remedy"),
    [
        (folder, "a folder", "name the file itself"),
        (np.random.default_rng(1).bytes(4096), "binary data", "give a STAR file"),
        (b"\x93NUMPY" + bytes(200), "format version", "copy it again"),
        (b"a, b\n1, 2\n", "none", "run_data.star"),
        ("\u00e9".encode("latin-1"), "unexpected end of data", "save it as UTF-8 text"),
        (codecs.BOM_UTF16_LE + star(OPTICS, PARTICLE).encode("utf-16-le"), "UTF-16", "save it as UTF-8"),
        (star(OPTICS, PARTICLE).encode("utf-16-be"), "UTF-16 text", "save it as UTF-8 text"),
        (star(OPTICS, PARTICLE, rows=0).encode(), "none", "was a selection left empty?"),
        (star(OPTICS, {}, rows=0).encode(), "data_optics", "extracted or refined particles"),
        (b"data_a\n", "no table with columns", "give the STAR file of particles"),
        (b"loop_\n_rlnImageName\n", "loop_", "write data_particles above it"),
        (b"data_\n_a 1 2\n", "_a 1 2", "quote a value with blanks"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_a_file_of_another_kind(
    spoil: bytes | Callable[[Path], None], found: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.star"
    if isinstance(spoil, bytes):
        path.write_bytes(spoil)
    else:
        spoil(path)
    with pytest.raises(InputError) as refused:
        read_particles(path)
    error = refused.value
    assert error.file == path
    assert str(error.expected)
    assert found in str(error.found)
    assert remedy in str(error.remedy)
