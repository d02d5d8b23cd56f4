"""The command from a STAR file and a map of one's own to a stack, without the raw one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.io.mrc import StackWriter

if TYPE_CHECKING:
    from tests.conftest import Cli

BOX, PIXEL_SIZE = 24, 2.0
GIVEN = ("particles=particles.star", "volume=map.mrc", "out=sims", "progress=false")
STAR = f"""
data_optics
loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
7 amplitude 300 0 1.0 {PIXEL_SIZE} {BOX}

data_particles
loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
_rlnOpticsGroup #11
_rlnClassNumber #12
000003@gone/a.mrcs a.mrc 0 0 0 0 0 0 0 0 7 1
000001@gone/b.mrcs b.mrc 0 0 0 4 -6 0 0 0 7 2
000001@gone/a.mrcs a.mrc 0 90 0 0 0 0 0 0 7 3
000009@gone/a.mrcs a.mrc 0 0 0 0 0 15000 14000 30 7 1
"""


@pytest.fixture
def density(tmp_path: Path) -> np.ndarray:
    """A map of a few blobs, written with the STAR file."""
    (tmp_path / "particles.star").write_text(STAR)
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    blobs = [(-3, 1, 4), (2, -4, 0), (0, 3, -2)]
    blob = [np.exp(-((z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2) / (2 * 1.5**2)) for a, b, c in blobs]
    density = sum(weight * one for weight, one in enumerate(blob, start=1)).astype(np.float32)
    mrcfile.write(tmp_path / "map.mrc", density, voxel_size=PIXEL_SIZE)
    return density


def simulate(cli: Cli, *options: str) -> Path:
    done = cli(
        "simulate", "particles=particles.star", "volume=map.mrc", "out=sims", "progress=false", *options
    )
    assert done.code == 0, done.err
    assert Path(done.out.strip()).resolve() == Path("sims/sim.star").resolve()
    return Path.cwd() / "sims"


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
    options = ("specimen=atomic_model", "volume=a.pdb", *EXPERIMENT, "detector.dose=30", "overwrite=true")
    images = mrcfile.read(simulate(cli, *options, "batch_size=3") / "sim.mrcs")
    electrons = 0.9 * 30 * PIXEL_SIZE**2
    assert -images.mean() == pytest.approx(electrons, rel=0.1)
    assert images.std() > 0.3 * np.sqrt(electrons)
    again = mrcfile.read(simulate(cli, *options, "batch_size=1") / "sim.mrcs")
    assert np.count_nonzero(np.abs(again - images) > 0.05) < 20  # but for a rounded electron
    other = mrcfile.read(simulate(cli, *options, "seed=1") / "sim.mrcs")
    assert abs(np.corrcoef((other - other.mean(0)).ravel(), (images - images.mean(0)).ravel())[0, 1]) < 0.5


def test_the_star_says_how_it_was_made(density: np.ndarray, cli: Cli) -> None:
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
    done = cli("simulate", *GIVEN, wanted)
    assert done.code == 1
    assert "specimen.volts=" in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "particles.star"]


def test_an_interrupted_simulation_goes_on(
    density: np.ndarray, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (simulate(cli, "batch_size=1", "specimen.mirror=true") / "sim.mrcs").read_bytes()
    write, seen = StackWriter.write, []

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written == 2 and not seen:
            seen.append(self.written)
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    options = (*GIVEN[:2], "out=again", "progress=false", "batch_size=1")
    done = cli("simulate", *options, "specimen.mirror=true")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert "behind 2 of 4 images; the same command given again goes on" in done.out + done.err
    assert not (tmp_path / "again").exists()
    assert (tmp_path / ".again.unfinished").is_dir()
    done = cli("simulate", *options, "specimen.mirror=true")
    assert "behind the first 2 of 4 images" in done.out + done.err
    assert (tmp_path / "again" / "sim.mrcs").read_bytes() == whole
    seen.clear()
    assert cli("simulate", *options, "overwrite=true", "seed=3").code == 130
    done = cli("simulate", *options, "overwrite=true", "seed=5")
    assert "behind the first" not in done.out + done.err  # of another simulation
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "map.mrc", "particles.star", "sims"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("envelope.bfactor=nan", "finite number"),
        ("volume=gone.mrc", "no such file"),
        ("volume=null", "volume="),
        ("box=0", "box size is out of range"),
        ("scattering.padding=100", "scattering.padding"),
        ("envelope.focal_spread=1e9", "constant or not finite"),
        ("volume_pixel_size=-1", "not positive"),
    ],
)
def test_absurd_values(density: np.ndarray, cli: Cli, tmp_path: Path, option: str, said: str) -> None:
    done = cli("simulate", *GIVEN, "envelope=microscope", option)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "sims").exists()


def test_slices_without_number(density: np.ndarray, cli: Cli) -> None:
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
