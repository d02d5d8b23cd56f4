"""Around new particles others lie as around measured ones, and a second table has the truth of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import StackWriter
from cryoalign.io.neighbour_table import read_neighbours
from cryoalign.io.simulated import simulated_uids
from cryoalign.physics.conditions import conditions, multiply_by_ctf
from tests.io import cryosparc_files
from tests.simulate.commanded import BOX, PIXEL_SIZE, THROUGH_A_LENS
from tests.simulate.fields import wide, write_field

if TYPE_CHECKING:
    from tests.conftest import Cli

LIKE = ("like=particles.star", "progress=false", "picture=false", "neighbours=true")
MAPS = "volume=[map.mrc,other.mrc]"


@pytest.fixture(autouse=True)
def other(density: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A second map; and measured particles near each other."""
    monkeypatch.chdir(tmp_path)
    write_field(Path("particles.star"))
    other = np.ascontiguousarray(density[::-1] * 1.5)
    mrcfile.write("other.mrc", other, voxel_size=PIXEL_SIZE)
    return other


def make(cli: Cli, out: str, *options: str) -> Path:
    done = cli("simulate", *LIKE, f"out={out}", *options)
    assert done.code == 0, done.err
    return Path.cwd() / out


@pytest.mark.parametrize("premultiplied", [0, 1])
def test_the_second_table_makes_the_rest_of_the_image(
    premultiplied: int, cli: Cli, density: np.ndarray, other: np.ndarray
) -> None:
    """Each of its rows simulated alone, where it says; of images without a particle they are all there is."""
    write_field(Path("particles.star"), premultiplied=premultiplied)
    folder = make(cli, "new", "count=12", MAPS, "shares=[0.6,0.4]", "empty=0.3", "shifts=normal")
    images, star = mrcfile.read(folder / "sim.mrcs"), folder / "sim.star"
    done = cli("simulate", "particles=new/sim.star", MAPS, "out=alone", "progress=false")
    assert done.code == 0, done.err
    expected, new = mrcfile.read("alone/sim.mrcs").copy(), read_particles(star)
    known = read_neighbours(new)
    assert known is not None
    others, here = known
    maps = [density, other]
    added = np.zeros_like(images)
    plain = replace(others, optics=tuple(replace(group, premultiplied=False) for group in others.optics))
    for row, image in enumerate(here.tolist()):
        number = int(others.table["rlnClassNumber"].iloc[row])
        assert others.table["rlnReferenceImage"].iloc[row] == ["map.mrc", "other.mrc"][number - 1]
        added[image] += wide(plain, maps[number - 1], row, np.zeros(2))
    times = multiply_by_ctf(torch.from_numpy(added), conditions(new, np.arange(12), "cpu")).numpy()
    assert np.abs(images - expected - times).max() < 1e-5 * np.abs(images).max()
    empty = new.table["rlnClassNumber"].to_numpy() == 0
    assert 0 < empty.sum() < 12
    assert np.median(images[empty].std(axis=(1, 2))) > 0.3 * images[~empty].std(axis=(1, 2)).mean()


def test_places_in_px_and_in_angstrom(cli: Cli) -> None:
    """A small blob, through a CTF that is 1 everywhere: where it stands out is where the table says."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    mrcfile.write("blob.mrc", np.exp(-(z**2 + y**2 + x**2) / 2).astype(np.float32), voxel_size=PIXEL_SIZE)
    write_field(Path("particles.star"), lens=(0.0, 1.0), focus=(0, 0))
    folder = make(cli, "new", "volume=blob.mrc", "count=40", "empty=0.9")
    images = mrcfile.read(folder / "sim.mrcs")
    table = starfile.read(folder / "sim_neighbours.star")["particles"]
    places = table[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy()
    origins = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
    np.testing.assert_allclose(places, BOX // 2 - origins / PIXEL_SIZE, atol=1e-6)
    number = table["rlnImageName"].str.partition("@")[0].astype(int).to_numpy() - 1
    empty = starfile.read(folder / "sim.star")["particles"]["rlnClassNumber"].to_numpy() == 0
    seen = 0
    for image, place in zip(number.tolist(), places, strict=True):
        apart = np.abs(places[number == image] - place).max(axis=1)
        if empty[image] and np.sort(apart)[1:].min(initial=BOX) > 5 and 4 <= place.min() < place.max() < 20:
            x, y = np.rint(place).astype(int) - 2
            top = np.unravel_index(images[image, y : y + 5, x : x + 5].argmax(), (5, 5))
            assert np.abs([x + top[1], y + top[0]] - place).max() < 0.6
            seen += 1
    assert seen > 10


def test_more_begin_with_the_fewer(cli: Cli) -> None:
    few = make(cli, "few", "volume=map.mrc", "count=20", "batch_size=7")
    many = make(cli, "many", "volume=map.mrc", "count=33")
    assert np.array_equal(mrcfile.read(many / "sim.mrcs")[:20], mrcfile.read(few / "sim.mrcs"))
    lines = [
        [line for line in (folder / "sim_neighbours.star").read_text().splitlines() if "@sim" in line]
        for folder in (few, many)
    ]
    assert lines[1][: len(lines[0])] == lines[0]
    assert 20 < len(lines[0]) < len(lines[1])
    uids = [simulated_uids(read_particles(many / f"{name}.star")) for name in ("sim", "sim_neighbours")]
    together = np.concatenate([some for some in uids if some is not None])
    assert len(together) == len(set(together.tolist())) == 33 + len(lines[1])


def test_an_interrupted_one_goes_on_byte_for_byte(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("count=24", "batch_size=5", MAPS, "empty=0.1")
    whole = make(cli, "whole", *options)
    write = StackWriter.write

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written > 10:
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    assert cli("simulate", *LIKE, "out=again", *options).code == 130
    monkeypatch.setattr(StackWriter, "write", write)
    again = make(cli, "again", *options)
    for name in ("sim.mrcs", "sim.star", "sim_neighbours.star"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_without_coordinates(cli: Cli) -> None:
    Path("particles.star").write_text(THROUGH_A_LENS)
    done = cli("simulate", *LIKE, "volume=map.mrc", "out=new", "count=5")
    assert done.code == 1
    assert "the particles have no coordinates, so that their neighbours are not known" in done.err
    assert "remedy: give the metadata of an extraction" in done.err
    assert not Path("new").exists()


def test_like_cryosparcs(cli: Cli) -> None:
    """The table is a STAR file with RELION's columns alone, and belongs to both files of the images."""
    table = cryosparc_files.particles(12, BOX, PIXEL_SIZE)
    rng = np.random.default_rng(1)
    columns = {
        "location/micrograph_path": np.full(12, b"J2/a.mrc"), "location/micrograph_psize_A": np.full(12, 1.4),
        "location/micrograph_shape": np.full((12, 2), 90), "location/center_x_frac": rng.random(12),
        "location/center_y_frac": rng.random(12),
    }  # fmt: skip
    for name, values in columns.items():
        table = cryosparc_files.with_column(table, name, values)
    cryosparc_files.save(Path("J1.cs"), table)
    folder = make(cli, "new", "like=J1.cs", "volume=map.mrc", "count=6")
    star, cs = (read_neighbours(read_particles(folder / name)) for name in ("sim.star", "sim.cs"))
    assert star is not None
    assert cs is not None
    assert star[1].tolist() == cs[1].tolist()
    assert len(cs[1]) > 6
    assert not any("/" in name for name in star[0].table)
    assert "location/center_x_frac" not in read_particles(folder / "sim.cs").table  # of the measured particle
    measured = read_particles("J1.cs")
    source = [measured.image_name.tolist().index(name) for name in star[0].table["rlnOriginalParticleName"]]
    np.testing.assert_allclose(star[0].defocus, measured.defocus[source], rtol=1e-6)
