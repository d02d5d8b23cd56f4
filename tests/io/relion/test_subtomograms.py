"""STAR files of tomography are refused by name, with the way to tilt images; tilt images are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles
from tests.io.relion.test_read import OPTICS, PARTICLES, SINGLE, star, without

if TYPE_CHECKING:
    from pathlib import Path

_TOMO = {
    "rlnTomoName": ["TS_01"] * 3,
    "rlnTomoParticleName": ["TS_01/1", "TS_01/2", "TS_01/3"],
    "rlnTomoVisibleFrames": ["[1,1,0]"] * 3,
    "rlnCenteredCoordinateXAngst": ["1.5", "2.5", "3.5"],
}
_POSES = without(PARTICLES, "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnMicrographName")
_FLAGS = {"rlnTomoSubTomosAre2DStacks": ["1"]}
_STACKS = {**_POSES, **_TOMO, "rlnImageName": [f"Subtomograms/TS_01/{i}_stack2d.mrcs" for i in range(3)]}
_VOLUMES = {**SINGLE, "rlnImageName": [f"subtomo/TS_01/TS_01_{i:07d}_2.50A.mrc" for i in range(3)]}

# name: (the tables of the file, what it is called)
FILES = {
    "RELION 5, 2D stacks": (
        {"general": _FLAGS, "optics": OPTICS, "particles": _STACKS},
        "RELION 4 or 5: each row is a stack of tilt images",
    ),
    "RELION 5, 2D stacks without the flag": (
        {"optics": OPTICS, "particles": _STACKS},
        "RELION 4 or 5: each row is a stack of tilt images",
    ),
    "RELION 4, volumes": (
        {
            "optics": {**OPTICS, "rlnImageDimensionality": ["3", "3"]},
            "particles": {**_STACKS, "rlnImageName": [f"Subtomograms/TS_01/{i}_data.mrc" for i in range(3)]},
        },
        "RELION 4 or 5: each row is a place in a tomogram",
    ),
    "RELION 5, picked": (
        {"particles": without({**_POSES, **_TOMO}, "rlnImageName")},
        "RELION 4 or 5: each row is a place in a tomogram",
    ),
    "optimisation set": (
        {"set": {"rlnTomoParticlesFile": ["particles.star"], "rlnTomoTomogramsFile": ["tomograms.star"]}},
        "an optimisation set of RELION's tomography",
    ),
    "tomograms": (
        {"global": {"rlnTomoName": ["TS_01"], "rlnTomoTiltSeriesStarFile": ["TS_01.star"]}},
        "the tomograms of RELION's tomography",
    ),
    "Warp": (
        {"single": {**_VOLUMES, "rlnCtfImage": ["TS_01_ctf.mrc"] * 3}},
        "Warp or of RELION up to 3: each row is a volume",
    ),
    "3D in the optics table": (
        {
            "optics": {**OPTICS, "rlnImageDimensionality": ["3", "3"]},
            "particles": {**PARTICLES, "rlnImageName": ["a.mrc", "b.mrc", "c.mrc"]},
        },
        "Warp or of RELION up to 3: each row is a volume",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_subtomograms(tmp_path: Path, name: str) -> None:
    tables, called = FILES[name]
    path = star(tmp_path / "a.star", **tables)
    with pytest.raises(InputError) as caught:
        read_particles(path)
    message = str(caught.value)
    assert called in message
    assert caught.value.file == path
    assert "a row for each tilt image" in message
    assert ("2D image series" if "Warp" in called else "--stack2d --no_ctf") in message


def test_tilt_images_are_read(tmp_path: Path) -> None:
    """A row for each tilt image, whatever columns of tomography it keeps."""
    images = {**PARTICLES, **_TOMO, "rlnImageName": ["1@a.mrcs", "2@a.mrcs", "3@a.mrcs"]}
    assert read_particles(star(tmp_path / "a.star", optics=OPTICS, particles=images)).slot.tolist() == [
        0,
        1,
        2,
    ]
