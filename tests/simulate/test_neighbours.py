"""Other particles of a micrograph reach into a box: where they lie, and as what."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
import torch

from cryoalign.errors import InputError
from cryoalign.io.coordinates import box_centres
from cryoalign.io.mrc import StackWriter
from cryoalign.particles import Optics, Particles
from cryoalign.physics.conditions import conditions, multiply_by_ctf
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles
from cryoalign.simulate.weak_phase import WeakPhase
from tests.simulate.commanded import BOX, PIXEL_SIZE
from tests.simulate.fields import wide, write_field

if TYPE_CHECKING:
    from tests.conftest import Cli

LENS = Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1, box_size=BOX, micrograph_pixel_size=PIXEL_SIZE)
NOTHING, COARSE = replace(LENS, micrograph_pixel_size=0.0), replace(LENS, pixel_size=3.0)
X, Y = "rlnCoordinateX", "rlnCoordinateY"


@pytest.fixture(autouse=True)
def here(density: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def placed(*coordinates: tuple[float, float], optics: Optics = LENS, **columns: Any) -> Particles:
    """Particles on one micrograph, in poses of their own."""
    count = len(coordinates)
    rng = np.random.default_rng(5)
    defocus = np.column_stack([*rng.uniform(7000, 12000, (2, count)), rng.uniform(0, 180, count)])
    given = {
        "micrograph": np.full(count, "a.mrc"),
        "angles": rng.uniform(0, 180, (count, 3)),
        "shift": rng.uniform(-3, 3, (count, 2)),
        "defocus": defocus,
        "table": pd.DataFrame(np.array(coordinates), columns=[X, Y]),
    }
    return Particles.make(Path("particles.star"), [optics], count, **(given | columns))


def run(
    particles: Particles, *, neighbours: bool = True, volume: Any = "map.mrc", **options: Any
) -> np.ndarray:
    given = {"progress": False, "overwrite": True, "neighbours": neighbours} | options
    return mrcfile.read(simulate_particles(particles, volume, "sims", **given).with_name("sim.mrcs"))


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_the_image_is_the_sum_of_two_simulations(scale: float, density: np.ndarray) -> None:
    """Of micrographs that were made smaller in extraction, too."""
    optics = replace(LENS, micrograph_pixel_size=scale * PIXEL_SIZE)
    particles = placed((100.0, 80.9), (113.6, 63.2), optics=optics)
    alone, found = run(particles, neighbours=False), run(particles)
    move = scale * np.array([13.0, -17.0])  # whole pixels of the micrograph: fractions are dropped
    expected = [
        alone[0] + wide(particles, density, 1, -move),
        alone[1] + wide(particles, density, 0, move),
    ]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(alone).max()
    assert np.abs(found - alone).max() > 0.1 * np.abs(alone).max()


@pytest.mark.parametrize(("defocus", "tolerance"), [(3000, 0.005), (9000, 0.03)])
def test_two_particles_are_one_specimen(defocus: float, tolerance: float, density: np.ndarray) -> None:
    """A map of both, through one CTF in a wide field; 9,000 A spread over nearly a box."""
    x, y = 17, -9
    one = np.pad(density, BOX)
    both = one + np.roll(one, (y, x), axis=(1, 2))
    same = {"angles": np.zeros((2, 3)), "shift": np.zeros((2, 2)), "defocus": np.full((2, 3), float(defocus))}
    particles = placed((50, 60), (50 + x, 60 + y), **same)
    without, field = (
        WeakPhase(torch.from_numpy(some), pixel_size=PIXEL_SIZE, box=3 * BOX)(particles, [0])[0].numpy()
        for some in (one, both)
    )
    box = (slice(BOX, 2 * BOX),) * 2
    added, expected = run(particles)[0] - run(particles, neighbours=False)[0], (field - without)[box]
    assert np.abs(expected).max() > 10 * tolerance * field.max()
    assert np.abs(added - expected).max() < tolerance * field.max()


def test_neighbours_add_up_and_each_is_of_its_own_map(density: np.ndarray) -> None:
    other = np.ascontiguousarray(density[::-1] * 1.5)
    mrcfile.write("other.mrc", other, voxel_size=PIXEL_SIZE)
    particles = placed((100, 80), (110, 75), (85, 85), (300, 80), (106, 300))
    particles = replace(particles, table=particles.table.assign(rlnClassNumber=[1, 2, 1, 2, 1]))
    options = {"volume": ["map.mrc", "other.mrc"]}
    alone, found = run(particles, neighbours=False, **options), run(particles, **options)
    added = wide(particles, other, 1, np.array([-10, 5])) + wide(particles, density, 2, np.array([15, -5]))
    assert np.abs(found[0] - alone[0] - added).max() < 1e-5 * np.abs(alone).max()
    assert np.array_equal(found[3:], alone[3:])  # far away
    elsewhere = replace(particles, micrograph=np.array(["a", "b", "c", "d", "e"]))
    assert np.array_equal(run(elsewhere, **options), alone)


def test_a_particle_is_no_neighbour_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Row 2: the same image in a pose of a symmetry. Row 3: picked twice, 5 px apart, and centred on it."""
    particles = placed((100, 80), (100, 80), (105, 80), (112, 70))
    shift = particles.shift.copy()
    shift[2] = shift[0] + np.array([5 * PIXEL_SIZE, 1.0])
    particles = replace(particles, shift=shift)
    alone = run(particles, neighbours=False)
    with caplog.at_level(logging.INFO):
        found = run(particles)
    assert "2 of 4 rows are of a particle that another row shows" in caplog.text
    assert "neighbours: 4 of 4 boxes overlap with others, 1.0 on average" in caplog.text
    once = run(particles.take([0, 3]))
    assert np.abs(found[[0, 3]] - once).max() < 1e-5 * np.abs(alone).max()
    assert np.abs(found[1] - alone[1] - (found[0] - alone[0])).max() < 1e-5 * np.abs(alone).max()


def test_they_belong_to_the_specimen(density: np.ndarray) -> None:
    """A detector records them, and premultiplied images are multiplied by the CTF of the box, theirs, too."""
    particles = placed((100, 80), (113, 70))
    added = run(particles) - run(particles, neighbours=False)
    premultiplied = replace(particles, optics=(replace(LENS, premultiplied=True),))
    rows = np.arange(2)
    expected = multiply_by_ctf(torch.from_numpy(added), conditions(premultiplied, rows, "cpu")).numpy()
    found = run(premultiplied) - run(premultiplied, neighbours=False)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(added).max()
    volts = [DensityMap("map.mrc", volts=5.0)]
    options = {"detector": Counting(dose=1e4), "volume": volts}
    counted = run(particles, **options) - run(particles, neighbours=False, **options)
    assert np.corrcoef(counted[0].ravel(), added[0].ravel())[0, 1] > 0.99


def test_batches_and_interruptions_change_no_byte(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_field(Path("particles.star"))
    given = ("simulate", "particles=particles.star", "volume=map.mrc", "progress=false", "neighbours=true")
    done = cli(*given, "out=whole", "batch_size=5")
    assert done.code == 0, done.err
    assert "of 24 boxes overlap with others" in done.out + done.err
    write = StackWriter.write

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written == 14:
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    assert cli(*given, "out=again", "batch_size=7").code == 130
    monkeypatch.setattr(StackWriter, "write", write)
    done = cli(*given, "out=again", "batch_size=7")
    assert "behind the first 14 of 24 images" in done.out + done.err
    assert Path("again/sim.mrcs").read_bytes() == Path("whole/sim.mrcs").read_bytes()
    said = dict(
        starfile.read("again/sim.star", parse_as_string=["cryoalignValue"])["simulation"].to_numpy().tolist()
    )
    assert said["neighbours"] == "true"
    done = cli(*given, "out=other", "micrograph_pixel_size=2")
    assert done.code == 0, done.err
    assert Path("other/sim.mrcs").read_bytes() != Path("whole/sim.mrcs").read_bytes()


def cryosparc(**columns: Any) -> Particles:
    """As `placed`, with CryoSPARC's columns."""
    table = {
        "uid": np.arange(2, dtype=np.uint64), "location/micrograph_shape[0]": 200,
        "location/micrograph_shape[1]": 300, "location/center_x_frac": np.float32([100 / 300, 113 / 300]),
        "location/center_y_frac": np.float32([80 / 200, 63 / 200]), "location/micrograph_psize_A": PIXEL_SIZE,
    }  # fmt: skip
    return placed((0, 0), (0, 0), table=pd.DataFrame({**table, **columns}))


def test_coordinates_of_cryosparc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoalign.simulate.stream.write_metadata", lambda *_, **__: None)
    assert np.array_equal(run(cryosparc()), run(placed((100, 80), (113, 63))))


NO_SHAPE = cryosparc()
NO_SHAPE.table.pop("location/micrograph_shape[1]")


@pytest.mark.parametrize(
    ("particles", "said"),
    [
        (placed((5, 5), table=pd.DataFrame({X: [5]})), f"expected: {X} and {Y}\n  found: no {Y}"),
        (
            placed((5, 5), (9, 9), micrograph=np.array(["a", ""])),
            "row 2: 1 of 2 particles do not say their mic",
        ),
        (
            placed((5, 5), (9, -0.5)),
            f"row 2: {Y} lies outside the micrograph (1 of 2 rows)\n  expected: 0 px or",
        ),
        (placed((5, 5), (np.nan, 9)), f"row 2: {X} lies outside the micrograph"),
        (cryosparc(**{"location/center_x_frac": [0.5, 1.01]}), "row 2: location/center_x_frac lies outside"),
        (NO_SHAPE, "the size of the micrographs is not known\n  expected: location/micrograph_shape"),
        (placed((5, 5), optics=NOTHING), "the pixel size of the micrographs is not possible"),
        (
            replace(placed((5, 5), (9, 9)), optics=(LENS, COARSE), optics_index=np.arange(2)),
            "row 1: images of one micrograph have different pixel sizes",
        ),
    ],
)
def test_neighbours_that_are_not_known(particles: Particles, said: str) -> None:
    with pytest.raises(InputError) as caught:
        run(particles)
    assert said in str(caught.value)
    assert not Path("sims").exists()


def test_coordinates_beyond_a_micrograph_that_is_at_hand() -> None:
    """Named from a folder above; one that is no MRC file says nothing."""
    Path("project/job").mkdir(parents=True)
    mrcfile.write("project/a.mrc", np.zeros((60, 90), dtype=np.float32))
    Path("project/b.mrc").write_text("no micrograph")
    source = Path("project/job/run_data.star")
    micrographs = np.array(["a.mrc", "a.mrc", "b.mrc"])
    inside = replace(placed((90, 60), (0, 0), (500, 500), micrograph=micrographs), source=source)
    assert len(box_centres(inside)) == 3
    for place, said in (
        ((91, 60), f"{X} lies outside the micrograph (1 of 3 rows)\n  expected: 0 to 90 px"),
        ((60, 90), f"{Y} lies outside the micrograph (1 of 3 rows)\n  expected: 0 to 60 px"),
    ):
        beyond = replace(placed((5, 5), place, (5, 5), micrograph=micrographs), source=source)
        with pytest.raises(InputError, match="row 2") as caught:
            box_centres(beyond)
        assert said in str(caught.value)


def test_pixel_size_of_micrographs_that_nobody_says(caplog: pytest.LogCaptureFixture) -> None:
    run(placed((100, 80), (113, 70), optics=replace(LENS, micrograph_pixel_size=None)))
    assert "the pixel size of the micrographs is not known; that of the images, 2 A, is taken" in caplog.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("neighbours=true",), "the particles have no coordinates"),
        (
            ("neighbours=true", "scattering=multislice", "specimen.volts=1"),
            "the particles have no coordinates",
        ),
        (("micrograph_pixel_size=1",), "micrograph_pixel_size belongs to neighbours=true"),
        (("neighbours=maybe",), "true or false"),
    ],
)
def test_bad_words(words: tuple[str, ...], said: str, cli: Cli) -> None:
    done = cli("simulate", "particles=particles.star", "volume=map.mrc", "out=sims", *words)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not Path("sims").exists()


def test_what_neighbours_do_not_go_with() -> None:
    with pytest.raises(InputError, match="neighbours are drawn by the weak-phase approximation"):
        run(placed((5, 5)), scattering=Multislice)
    with pytest.raises(InputError, match="micrograph_pixel_size is out of range"):
        run(placed((5, 5)), micrograph_pixel_size=0)
