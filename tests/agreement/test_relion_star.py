"""RELION's own programs take the STAR files and stacks that cryoalign writes, without a word of complaint."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
from scipy.spatial.transform import Rotation

from cryoalign.io.cryosparc.read import read_cryosparc
from cryoalign.io.mrc import StackWriter
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.relion.read import HALF
from cryoalign.particles import Optics, Particles
from tests.io import cryosparc_files

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]

COUNT, BOX, PIXEL_SIZE = 40, 32, 3.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two optics groups, one of them numbered with a gap, in a folder of their own."""
    rng = np.random.default_rng(3)
    order = np.arange(COUNT)
    particles = Particles.make(
        Path("raw.star"),
        (
            Optics(2, "krios", 2.5, 300.0, 2.7, 0.1),
            Optics(5, "unused", 2.5, 300.0, 2.7, 0.1),
            Optics(7, "arctica", 2.5, 200.0, 2.0, 0.07),
        ),
        COUNT,
        optics_index=(order % 2) * 2,
        stack=np.full(COUNT, "Extract/raw.mrcs"),
        slot=order,
        micrograph=np.array([f"mic{i // 10}.mrc" for i in order]),
        angles=rng.uniform([-180, 0, -180], [180, 180, 180], (COUNT, 3)),
        shift=rng.normal(size=(COUNT, 2)),
        defocus=np.column_stack([*rng.uniform(1e4, 2e4, (2, COUNT)), rng.uniform(-90, 90, COUNT)]),
        half=order % 2 + 1,
        table=pd.DataFrame(
            {
                "rlnClassNumber": np.ones(COUNT, int),
                "rlnParticleId": order,
                "rlnAutopickFigureOfMerit": order * 0.5,
            }
        ),
    )
    out = tmp_path / "out"
    with StackWriter(out / "fake.mrcs", COUNT, BOX, PIXEL_SIZE) as writer:
        writer.write(rng.normal(size=(COUNT, BOX, BOX)))
    write_particles(
        out / "fake.star",
        particles,
        image_names=[f"{i + 1:06d}@fake.mrcs" for i in order],
        original_names=particles.image_name,
        box=BOX,
        pixel_size=PIXEL_SIZE,
    )
    return out


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.search("warning|error", said, re.IGNORECASE), said
    return said


def test_star_handler(folder: Path) -> None:
    _run(folder, "relion_star_handler", "--i", "fake.star", "--o", "copy.star")
    limits = ("--minval", "1", "--maxval", "1")
    _run(folder, "relion_star_handler", "--i", "fake.star", "--o", "half.star", "--select", HALF, *limits)
    tables = starfile.read(folder / "copy.star")
    assert tables["optics"]["rlnOpticsGroup"].tolist() == [1, 2]
    assert tables["optics"]["rlnOpticsGroupName"].tolist() == ["krios", "arctica"]
    assert tables["particles"]["rlnImageOriginalName"].iloc[4] == "000005@Extract/raw.mrcs"
    assert tables["particles"]["rlnParticleId"].tolist() == list(range(COUNT))
    assert tables["particles"]["rlnAutopickFigureOfMerit"].tolist() == [i * 0.5 for i in range(COUNT)]

    ours, theirs = read_particles(folder / "fake.star"), read_particles(folder / "copy.star")
    assert len(read_particles(folder / "half.star")) == COUNT // 2
    np.testing.assert_array_equal(ours.slot, theirs.slot)
    for name in ("angles", "shift", "defocus"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=1e-3, rtol=1e-6)
    np.testing.assert_array_equal(theirs.optics_column("voltage"), ours.optics_column("voltage"))


def test_reconstruct(folder: Path) -> None:
    _run(folder, "relion_reconstruct", "--i", "fake.star", "--o", "map.mrc", "--ctf")
    with mrcfile.open(folder / "map.mrc") as mrc:
        assert mrc.data.shape == (BOX, BOX, BOX)
        assert float(mrc.voxel_size.x) == pytest.approx(PIXEL_SIZE)
        assert mrc.data.std() > 0


def test_particles_of_cryosparcs(tmp_path: Path) -> None:
    """None of CryoSPARC's columns reaches RELION, and the poses that do are those of the ``.cs``."""
    table = cryosparc_files.particles(COUNT, BOX, PIXEL_SIZE)
    read = read_cryosparc(cryosparc_files.save(tmp_path / "raw.cs", table))
    write_particles(tmp_path / "raw.star", read)
    _run(tmp_path, "relion_star_handler", "--i", "raw.star", "--o", "copy.star")
    theirs = read_particles(tmp_path / "copy.star")
    turned = Rotation.from_euler("ZYZ", theirs.angles, degrees=True).inv()
    turned *= Rotation.from_rotvec(table["alignments3D/pose"])
    assert np.rad2deg(turned.magnitude()).max() < 1e-3
    np.testing.assert_allclose(theirs.shift, read.shift, atol=1e-4)
    assert theirs.stack.tolist() == read.stack.tolist()


def test_column_that_relion_does_not_know_survives(folder: Path) -> None:
    """RELION warns of such a column: cryoalign makes none of its own, but keeps those of others."""
    notes = [f"a{i}" for i in range(COUNT)]
    write_particles(folder / "more.star", read_particles(folder / "fake.star"), extra={"labNote": notes})
    command = ("relion_star_handler", "--i", "more.star", "--o", "copy.star")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "unknown label: labNote" in done.stdout + done.stderr
    assert read_particles(folder / "copy.star").table["labNote"].tolist() == notes
