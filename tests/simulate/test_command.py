"""The command from a STAR file and a map of one's own to a stack, without the raw one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from tests.simulate.commanded import BOX, GIVEN, PIXEL_SIZE, STAR, THROUGH_A_LENS, simulate

if TYPE_CHECKING:
    from tests.conftest import Cli


def test_row_for_row(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    folder = simulate(cli, "batch_size=3")
    given, made = (starfile.read(path)["particles"] for path in ("particles.star", folder / "sim.star"))
    assert made["rlnImageName"].tolist() == [f"00000{i}@sim.mrcs" for i in (1, 2, 3, 4)]
    assert made["rlnImageOriginalName"].tolist() == given["rlnImageName"].tolist()
    for label in given.columns.drop(["rlnImageName", "rlnOpticsGroup"]):
        assert made[label].tolist() == given[label].tolist(), label
    optics = starfile.read(folder / "sim.star")["optics"]
    assert optics["rlnImagePixelSize"].tolist() == [PIXEL_SIZE]
    assert optics["rlnImageSize"].tolist() == [BOX]
    with mrcfile.open(folder / "sim.mrcs") as stack:
        assert stack.data.shape == (4, BOX, BOX)
        assert stack.data.dtype == np.float32
        assert float(stack.voxel_size.x) == pytest.approx(PIXEL_SIZE)
        assert stack.is_image_stack()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "particles.star", "sims"]


def test_images_are_projections(density: np.ndarray, cli: Cli) -> None:
    """Pure amplitude contrast in focus has a CTF of one sign everywhere: what is left is the projection."""
    images = mrcfile.read(simulate(cli) / "sim.mrcs")
    along_z, along_x = density.sum(axis=0), density.sum(axis=2)

    def alike(image: np.ndarray, projection: np.ndarray) -> float:
        return float(np.corrcoef(image.ravel(), projection.ravel())[0, 1])

    sign = np.sign(alike(images[0], along_z))
    assert sign * alike(images[0], along_z) > 0.999
    # origins of +4 and -6 A would be added to centre it: its content sits at -2 and +3 px
    assert sign * alike(images[1], np.roll(along_z, (3, -2), axis=(0, 1))) > 0.999
    # tilt 90: one looks along x, and the image's x axis is the map's -z, turned about voxel N // 2
    assert sign * alike(images[2], np.roll(along_x.T[:, ::-1], 1, axis=1)) > 0.999
    assert abs(alike(images[3], along_z)) < 0.9


def test_another_box_and_pixel_size_of_the_map(density: np.ndarray, cli: Cli) -> None:
    folder = simulate(cli, "box=20", "volume_pixel_size=2.5")
    assert mrcfile.read(folder / "sim.mrcs").shape == (4, 20, 20)
    assert starfile.read(folder / "sim.star")["optics"]["rlnImageSize"].tolist() == [20]


def test_an_existing_output_is_kept_unless_overwrite(density: np.ndarray, cli: Cli) -> None:
    folder = simulate(cli)
    before = (folder / "sim.mrcs").read_bytes()
    done = cli("simulate", *GIVEN, "box=20")
    assert done.code == 1
    assert "exists already" in done.err
    assert (folder / "sim.mrcs").read_bytes() == before
    assert cli("simulate", *GIVEN, "box=20", "overwrite=true").code == 0
    assert mrcfile.read(folder / "sim.mrcs").shape == (4, 20, 20)


def test_names_from_the_projects_folder(density: np.ndarray, cli: Cli) -> None:
    star = simulate(cli, "names=project") / "sim.star"
    particles = read_particles(star)
    assert set(particles.stack) == {"sims/sim.mrcs"}
    assert locate_stacks(particles)["sims/sim.mrcs"] == star.with_name("sim.mrcs")


PDB = "".join(
    f"ATOM  {number:5d}  C   ALA A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 30.00           C\n"
    for number, (x, y, z) in enumerate(np.random.default_rng(0).normal(0, 5, (40, 3)), start=1)
)
EXPERIMENT = (
    "scattering=multislice", "scattering.slice_thickness=12", "solvent=ice", "envelope=microscope",
    "detector=counting", "ignore_aberrations=true",
)  # fmt: skip


def test_atoms_through_ice_and_a_microscope(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text(PDB)
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    options = ("specimen=atomic_model", "volume=a.pdb", *EXPERIMENT, "detector.dose=30", "overwrite=true")
    images = mrcfile.read(simulate(cli, *options, "batch_size=3") / "sim.mrcs")
    electrons = 0.9 * 30 * PIXEL_SIZE**2
    assert -images.mean() == pytest.approx(electrons, rel=0.1)
    assert images.std() > 0.3 * np.sqrt(electrons)
    again = mrcfile.read(simulate(cli, *options, "batch_size=1") / "sim.mrcs")
    assert np.count_nonzero(np.abs(again - images) > 0.05) < 20  # but for a rounded electron
    other = mrcfile.read(simulate(cli, *options, "seed=1") / "sim.mrcs")
    assert abs(np.corrcoef((other - other.mean(0)).ravel(), (images - images.mean(0)).ravel())[0, 1]) < 0.5


def test_the_star_says_how_it_was_made(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    folder = simulate(cli, "specimen.volts=2", *EXPERIMENT, "seed=4")
    table = starfile.read(folder / "sim.star", parse_as_string=["cryoalignValue"])["simulation"]
    said = dict(zip(table["cryoalignParameter"], table["cryoalignValue"], strict=True))
    assert said["specimen.file"] == "map.mrc"
    assert float(said["specimen.volts"]) == 2
    assert said["scattering._target_"].endswith("Multislice")
    assert float(said["scattering.slice_thickness"]) == 12
    assert float(said["solvent.thickness"]) == 300
    assert json.loads(said["detector.dqe"]) == [0.9, 0.5]
    assert said["seed"] == "4"
    assert len(said["map.mrc"]) == 64  # SHA-256


@pytest.mark.parametrize("wanted", ["scattering=multislice", "solvent=molecules", "detector=counting"])
def test_a_map_without_volts_has_no_electrons(
    density: np.ndarray, cli: Cli, wanted: str, tmp_path: Path
) -> None:
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    done = cli("simulate", *GIVEN, wanted)
    assert done.code == 1
    assert "specimen.volts=" in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "particles.star"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("envelope.bfactor=nan", "finite number"),
        ("volume=gone.mrc", "no such file"),
        ("volume=null", "volume="),
        ("box=0", "box size is out of range"),
        ("scattering.padding=100", "scattering.padding"),
        ("envelope.focal_spread=1e9", "envelope.focal_spread is out of range"),
        ("volume_pixel_size=-1", "volume_pixel_size is out of range"),
        ("volume_pixel_size=0", "remedy: leave volume_pixel_size out"),
        ("box=1000000", "expected: 2 to 4096 px"),
    ],
)
def test_absurd_values(density: np.ndarray, cli: Cli, tmp_path: Path, option: str, said: str) -> None:
    done = cli("simulate", *GIVEN, "envelope=microscope", option)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "sims").exists()


def test_slices_without_number(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    options = (*GIVEN, "scattering=multislice", "specimen.volts=1")
    done = cli("simulate", *options, "scattering.slice_thickness=1e-3")
    assert done.code == 1
    assert "scattering.slice_thickness" in done.err
    assert cli("simulate", *options, "scattering.slice_thickness=1e9").code == 0


def test_what_is_cut_off_or_outside_is_said(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(STAR.replace("0 0 0 4 -6", "0 0 0 400 -6"))
    done = cli("simulate", *GIVEN, "box=8")
    assert done.code == 0
    assert "map's power lies outside the images' box of 8 px" in done.out + done.err
    assert "1 of 4 shifts exceed half the box, the first in row 2" in done.out + done.err
