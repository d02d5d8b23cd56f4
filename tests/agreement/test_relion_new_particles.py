"""RELION takes new particles without a word of complaint, and finds the map that they are images of."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.io.relion import read_particles, write_particles
from cryoalign.particles import Optics
from tests.agreement.conftest import phantom, random_particles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]

COUNT, BOX, PIXEL_SIZE = 900, 32, 4.0
OPTICS = (
    Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1, BOX),
    Optics(2, "arctica", PIXEL_SIZE, 200.0, 2.7, 0.1, BOX),
)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a map and measured particles."""
    mrcfile.write(tmp_path / "map.mrc", phantom(BOX), voxel_size=PIXEL_SIZE)
    write_particles(tmp_path / "run_data.star", random_particles(60, *OPTICS), box=BOX)
    return tmp_path


def make(cli: Cli, out: str, count: int, *options: str) -> None:
    given = ("like=run_data.star", f"count={count}", "volume=map.mrc", f"out={out}", "progress=false")
    done = cli("simulate", *given, *options)
    assert done.code == 0, done.err


@pytest.fixture
def folder(cli: Cli, project: Path) -> Path:
    make(cli, "new", COUNT)
    return project / "new"


def test_names_from_the_projects_folder(cli: Cli, project: Path) -> None:
    make(cli, "Simulate/job001", 50, "names=project")
    said = run(project, "relion_reconstruct", "--i", "Simulate/job001/sim.star", "--o", "found.mrc", "--ctf")
    assert not re.search("warning|error", said, re.IGNORECASE), said
    assert mrcfile.read(project / "found.mrc").std() > 0


def test_metadata_and_reconstruction(folder: Path, tmp_path: Path) -> None:
    said = run(folder, "relion_star_handler", "--i", "sim.star", "--o", "../copy.star")
    said += run(folder, "relion_reconstruct", "--i", "sim.star", "--o", "../found.mrc", "--ctf")
    assert not re.search("warning|error", said, re.IGNORECASE), said
    ours, theirs = read_particles(folder / "sim.star"), read_particles(tmp_path / "copy.star")
    np.testing.assert_array_equal(theirs.image_name, ours.image_name)
    np.testing.assert_allclose(theirs.angles, ours.angles, atol=1e-3)
    for name in ("rlnParticleName", "rlnOriginalParticleName", "rlnMicrographMovieName", "rlnRandomSeed"):
        assert theirs.table[name].tolist() == ours.table[name].tolist()
    found = mrcfile.read(tmp_path / "found.mrc")
    assert np.corrcoef(found.ravel(), phantom(BOX).ravel())[0, 1] > 0.95
    # what cryoDRGN's parse_pose_star and parse_ctf_star read
    text = (folder / "sim.star").read_text()
    poses = ("AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst")
    lens = ("Voltage", "SphericalAberration", "AmplitudeContrast", "ImagePixelSize", "ImageSize")
    for label in (*poses, *lens, "DefocusU", "DefocusV", "DefocusAngle", "PhaseShift"):
        assert f"_rln{label} #" in text


def test_classification_takes_them(folder: Path, tmp_path: Path) -> None:
    """A particle's name is its own: RELION would take images of one name for tilts of one particle."""
    (tmp_path / "class").mkdir()
    options = (
        "--ref ../map.mrc --K 1 --iter 1 --skip_align --firstiter_cc --ctf --particle_diameter 100 --pad 1"
    )
    said = run(folder, "relion_refine", "--i", "sim.star", "--o", "../class/run", *options.split())
    assert not re.search("norm_correction|unknown label|previous version", said), said
    assert len(read_particles(tmp_path / "class/run_it001_data.star")) == COUNT


def test_classes_are_relions(cli: Cli, project: Path) -> None:
    """Reconstructed by class each is its own map; the file names the references of a classification."""
    other = np.ascontiguousarray(phantom(BOX)[::-1])
    mrcfile.write(project / "other.mrc", other, voxel_size=PIXEL_SIZE)
    make(cli, "job", COUNT, "volume=[map.mrc,other.mrc]", "empty=0.1", "names=project")
    for number, (own, foreign) in enumerate(((phantom(BOX), other), (other, phantom(BOX))), start=1):
        options = f"--i job/sim.star --o found.mrc --ctf --class {number}"
        said = run(project, "relion_reconstruct", *options.split())
        assert not re.search("warning|error", said, re.IGNORECASE), said
        found = mrcfile.read(project / "found.mrc")
        correlations = [np.corrcoef(found.ravel(), density.ravel())[0, 1] for density in (own, foreign)]
        assert correlations[0] > max(0.95, correlations[1] + 0.1)
    (project / "class").mkdir()
    options = (
        "--i job/sim.star --ref job/sim.star --K 2 --iter 1 --skip_align --firstiter_cc --ctf "
        "--particle_diameter 100 --pad 1 --o class/run"
    )
    said = run(project, "relion_refine", *options.split())
    assert not re.search("norm_correction|unknown label|previous version", said), said
    ours, theirs = (read_particles(project / name) for name in ("job/sim.star", "class/run_it001_data.star"))
    known = dict(zip(ours.table["rlnParticleName"], ours.table["rlnClassNumber"], strict=True))
    true = np.array([known[name] for name in theirs.table["rlnParticleName"]])
    found = theirs.table["rlnClassNumber"].to_numpy()
    assert np.mean([np.mean(found[true == number] == number) for number in (1, 2)]) > 0.9
    assert 0 in true
