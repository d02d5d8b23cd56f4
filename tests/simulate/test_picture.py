"""The picture beside simulated images: what is in it, and what it must not change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from cryoalign.figures import overview
from cryoalign.io.mrc import StackWriter
from cryoalign.io.ownership import listed
from cryoalign.io.relion import read_particles
from cryoalign.particles import Optics, Particles
from cryoalign.population.classes import Classes
from cryoalign.population.population import Population
from cryoalign.simulate.picture import PICTURE, measured_images
from tests.simulate.commanded import BOX, GIVEN, PIXEL_SIZE, THROUGH_A_LENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Cli

Seen = dict[str, object]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """What pictures were drawn of, in the place of the pictures."""
    seen: list[Seen] = []
    make: Callable[..., object] = overview.overview

    def noted(
        images: np.ndarray, labels: object, curves: object, conditions: object, *_: object, **k: object
    ):
        seen.append({"images": images, "labels": labels, "curves": curves, "conditions": conditions, **k})
        return make(images, labels, curves, conditions, *_, **k)

    monkeypatch.setattr(overview, "overview", noted)
    return seen


def test_it_is_listed_and_replaced_and_the_stack_knows_nothing_of_it(density: np.ndarray, cli: Cli) -> None:
    options = (*GIVEN, "overwrite=true", "box=20")
    assert cli("simulate", *options, "picture=true").code == 0
    folder = Path.cwd() / "sims"
    picture = (folder / PICTURE).read_bytes()
    assert imread(folder / PICTURE).shape[1] > 500
    assert b"Software" not in picture[:1000]  # nor a date: the same bytes again
    assert listed(folder) == {".cryoalign", PICTURE, "sim.mrcs", "sim.star"}
    made = [(folder / name).read_bytes() for name in ("sim.mrcs", "sim.star")]
    assert cli("simulate", *options, "picture=true").code == 0
    assert (folder / PICTURE).read_bytes() == picture
    assert cli("simulate", *options, "picture=false").code == 0
    there = {path.name for path in folder.iterdir()}
    assert listed(folder) == there == {".cryoalign", "sim.mrcs", "sim.star"}
    assert [(folder / name).read_bytes() for name in ("sim.mrcs", "sim.star")] == made


def test_an_interrupted_picture_leaves_nothing_of_it(
    density: np.ndarray, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", interrupted)
        assert cli("simulate", *GIVEN, "picture=true").code == 130
    assert (tmp_path / ".sims.unfinished" / "sim.star").is_file()
    monkeypatch.setattr(StackWriter, "write", None)  # nothing is simulated again
    assert cli("simulate", *GIVEN, "picture=false").code == 0
    assert listed(tmp_path / "sims") == {".cryoalign", "sim.mrcs", "sim.star"}


def test_new_particles_beside_the_measured_ones(
    density: np.ndarray, cli: Cli, tmp_path: Path, drawn: list[Seen]
) -> None:
    """Of two maps and of none; the measured images are where the file says."""
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    (tmp_path / "gone").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noise = rng.normal(size=(9, BOX, BOX)).astype(np.float32)
        with mrcfile.new(tmp_path / "gone" / f"{name}.mrcs") as file:
            file.set_data(noise)
            file.set_image_stack()
            file.voxel_size = PIXEL_SIZE
    mrcfile.write(tmp_path / "closed.mrc", np.roll(density, 3, axis=2), voxel_size=PIXEL_SIZE)
    done = cli(
        "simulate", "like=particles.star", "volume=[map.mrc,closed.mrc]", "out=new", "count=150", "empty=0.2",
        "poses=cone", "poses.axis=[1,0,0]", "poses.angle=1", "progress=false", "picture=true",
    )  # fmt: skip
    assert done.code == 0, done.err
    (seen,) = drawn
    stack, table = (
        mrcfile.read(tmp_path / "new" / "sim.mrcs"),
        read_particles(tmp_path / "new/sim.star").table,
    )
    rows = [int(label.split()[1]) - 1 for label in seen["labels"]]
    np.testing.assert_array_equal(seen["images"], stack[rows])
    words = {0: "no particle", 1: "class 1", 2: "class 2"}
    numbers = table["rlnClassNumber"].to_numpy()
    assert [label.split("\n")[1] for label in seen["labels"]] == [words[number] for number in numbers[rows]]
    assert numbers[rows].tolist() == [1, 1, 1, 2, 2, 2, 0, 0]
    sim, raw = seen["conditions"]["sim"], seen["conditions"]["raw"]
    with_particle = np.count_nonzero(numbers)
    assert (sim.images, sim.views, raw.views) == (150, with_particle, 4)
    middle = sim.bins.index(np.array([[0.5, 89.5, 0], [0.5, 90.5, 0], [-0.5, 89.5, 0], [-0.5, 90.5, 0]]))
    assert sim.counts[np.unique(middle)].sum() == with_particle
    assert {kind: len(table) for kind, table in seen["curves"].items()} == {"sim": with_particle, "raw": 4}
    assert np.isnan(seen["curves"]["raw"][:, 0]).all()
    power = np.log(BOX**2) - np.euler_gamma  # mean of the logarithm of white noise of variance 1
    assert np.abs(seen["curves"]["raw"][:, 4:].mean() - power) < 0.1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_measured_images_without_contrast_have_no_spectrum(
    value: float, density: np.ndarray, cli: Cli, tmp_path: Path, drawn: list[Seen]
) -> None:
    (tmp_path / "gone").mkdir()
    for name in ("a", "b"):
        with mrcfile.new(tmp_path / "gone" / f"{name}.mrcs") as file:
            file.set_data(np.full((9, BOX, BOX), value, dtype=np.float32))
            file.set_image_stack()
            file.voxel_size = PIXEL_SIZE
    done = cli("simulate", *GIVEN, "picture=true")
    assert done.code == 0, done.err
    assert list(drawn[0]["curves"]) == ["sim"]


def test_measured_images_that_are_not_at_hand_are_left_out(tmp_path: Path) -> None:
    star = tmp_path / "run_data.star"
    some = Particles.make(star, [Optics(1, "krios", 2.0, 300.0, 2.7, 0.1)], 5)
    assert measured_images(some, 8, None) is None
    for box, count, found in ((8, 5, True), (8, 4, False), (10, 5, False)):
        with mrcfile.new(tmp_path / "raw.mrcs", overwrite=True) as file:
            file.set_data(np.ones((count, box, box), dtype=np.float32))
        assert (measured_images(some, 8, None) is not None) == found
    (tmp_path / "raw.mrcs").write_bytes(b"no images")
    assert measured_images(some, 8, None) is None


def test_views_of_a_population_are_those_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    like = Particles.make(
        Path("run_data.star"),
        [Optics(1, "krios", 2.0, 300.0, 2.7, 0.1)],
        50,
        defocus=rng.normal(size=(50, 3)),
    )
    new = Population(like, 1300, seed=3, classes=Classes((0.5, 0.5), empty=0.3), maps=("a", "b"))
    angles, defocus, shown = (np.concatenate(parts) for parts in zip(*new.views(), strict=True))
    rows = new.take(np.arange(1300))
    np.testing.assert_array_equal(angles, rows.angles)
    np.testing.assert_array_equal(defocus, rows.defocus)
    np.testing.assert_array_equal(shown, new.class_numbers > 0)
