"""Several maps of one particle, labelled, from the command line; each image is that of its own map."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import StackWriter
from cryoalign.io.simulated import without_particle
from cryoalign.physics.resample import resample_volume
from cryoalign.simulate import specimen
from cryoalign.simulate.weak_phase import WeakPhase
from tests.simulate.commanded import PIXEL_SIZE, THROUGH_A_LENS

if TYPE_CHECKING:
    from tests.conftest import Cli

MAPS = "volume=[map.mrc,closed.mrc]"
LIKE = ("like=particles.star", "progress=false")


@pytest.fixture(autouse=True)
def closed(density: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Another map, of the same grid."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)
    closed = np.ascontiguousarray(np.roll(density, 3, axis=2) * 1.5)
    mrcfile.write(tmp_path / "closed.mrc", closed, voxel_size=PIXEL_SIZE)
    return closed


def make(cli: Cli, out: str, *options: str) -> Path:
    done = cli("simulate", *LIKE, f"out={out}", *options)
    assert done.code == 0, done.err
    return Path.cwd() / out


def images(folder: Path | str) -> np.ndarray:
    return mrcfile.read(Path(folder) / "sim.mrcs")


def assert_alike(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    assert np.abs(found - expected).max() < tolerance * expected.std()


def again(cli: Cli, out: str, volume: str, source: str = "new/sim.star") -> np.ndarray:
    done = cli("simulate", f"particles={source}", volume, f"out={out}", "progress=false")
    assert done.code == 0, done.err
    return images(out)


def test_each_image_is_that_of_its_own_map(cli: Cli) -> None:
    folder = make(cli, "new", MAPS, "shares=[0.7,0.3]", "empty=0.2", "count=40")
    tables = starfile.read(folder / "sim.star", parse_as_string=["cryoalignValue"])
    table, made = tables["particles"], images(folder)
    numbers = table["rlnClassNumber"].to_numpy()
    assert set(numbers) == {0, 1, 2}
    names = np.array(["None", "map.mrc", "closed.mrc"])
    assert table["rlnReferenceImage"].tolist() == names[numbers].tolist()
    for number, name in enumerate(names[1:], start=1):  # simulated again, with this map alone
        assert_alike(
            made[numbers == number], again(cli, f"one_{number}", f"volume={name}")[numbers == number]
        )
    assert not made[numbers == 0].any()
    assert without_particle(read_particles(folder / "sim.star")).tolist() == (numbers == 0).tolist()
    assert_alike(again(cli, "both", MAPS), made)  # the labels are read
    classes = tables["model_classes"]
    assert classes["rlnReferenceImage"].tolist() == ["map.mrc", "closed.mrc"]
    assert classes["rlnClassDistribution"].tolist() == pytest.approx(
        [np.mean(numbers == number) for number in (1, 2)]
    )
    said = dict(tables["simulation"].to_numpy().tolist())
    assert (said["shares"], said["empty"]) == ("[0.7,0.3]", "0.2")
    assert (said["specimen.file.1"], said["specimen.file.2"]) == ("map.mrc", "closed.mrc")


def test_more_begin_with_the_fewer_and_an_interrupted_one_goes_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (MAPS, "empty=0.1", "box=8", "batch_size=20", "detector=counting", "specimen.volts=1")
    few, many = make(cli, "few", "count=220", *options), make(cli, "many", "count=260", *options)
    lines = [
        [line for line in (folder / "sim.star").read_text().splitlines() if "@sim" in line]
        for folder in (few, many)
    ]
    assert lines[1][:220] == lines[0]
    np.testing.assert_array_equal(images(many)[:220], images(few))
    write, seen = StackWriter.write, []

    def interrupted(self: StackWriter, block: np.ndarray) -> None:
        if self.written > 130 and not seen:
            seen.append(self.written)
            raise KeyboardInterrupt
        write(self, block)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    given = ("simulate", *LIKE, "out=again", "count=220", *options)
    assert cli(*given).code == 130
    done = cli(*given)
    assert f"behind the first {seen[0]} of 220 images" in done.out + done.err
    for name in ("sim.mrcs", "sim.star"):
        assert (Path("again") / name).read_bytes() == (few / name).read_bytes()


def test_who_they_are_depends_on_all_maps_and_shares(cli: Cli, density: np.ndarray) -> None:
    def uids(*options: str) -> set[str]:
        folder = make(cli, "uids", "count=8", "overwrite=true", *options)
        return set(starfile.read(folder / "sim.star")["particles"]["rlnParticleName"])

    first = uids(MAPS)
    others = [
        uids(MAPS, "shares=[0.6,0.4]"),
        uids(MAPS, "empty=0.1"),
        uids("volume=[closed.mrc,map.mrc]"),
    ]
    mrcfile.write("closed.mrc", 2 * density, voxel_size=PIXEL_SIZE, overwrite=True)
    others.append(uids(MAPS))
    assert not any(first & other for other in others)


def test_a_folder_whose_maps_have_other_grids(cli: Cli, density: np.ndarray, closed: np.ndarray) -> None:
    Path("maps").mkdir()
    mrcfile.write("maps/frame_1.mrc", density, voxel_size=PIXEL_SIZE)
    coarse = resample_volume(torch.from_numpy(closed), PIXEL_SIZE, box=16, new_pixel_size=2.6)
    mrcfile.write("maps/frame_2.mrc", coarse.numpy(), voxel_size=2.6)
    wide = np.pad(closed, 4)
    mrcfile.write("maps/frame_10.mrc", wide, voxel_size=PIXEL_SIZE)
    table = starfile.read(make(cli, "new", "volume=maps", "count=30") / "sim.star")["particles"]
    numbers = table["rlnClassNumber"].to_numpy()
    names = np.array([f"maps/frame_{number}.mrc" for number in (1, 2, 10)])
    assert table["rlnReferenceImage"].tolist() == names[numbers - 1].tolist()
    made, expected = images("new"), again(cli, "alone", "volume=closed.mrc")
    assert_alike(made[numbers == 3], expected[numbers == 3])
    finest = make(cli, "fine", "volume=[map.mrc,maps/frame_2.mrc]", "count=30")
    other = starfile.read(finest / "sim.star")["particles"]["rlnClassNumber"].to_numpy() == 2
    found = images(finest)[other].ravel()
    known = again(cli, "known", "volume=closed.mrc", "fine/sim.star")[other].ravel()
    assert np.corrcoef(found, known)[0, 1] > 0.995  # of its 2.6 A/px


def test_density_that_would_be_cut_is_refused(cli: Cli, closed: np.ndarray) -> None:
    wide = np.pad(closed, 8)
    wide[2:6, 20, 20] = 3.0
    mrcfile.write("wide.mrc", wide, voxel_size=PIXEL_SIZE)
    done = cli("simulate", *LIKE, "out=new", "volume=[map.mrc,wide.mrc]", "count=5")
    assert done.code == 1
    assert "wide.mrc: density of this map would be cut: " in done.err
    assert "% of its power lies outside the box of the first map" in done.err
    assert "expected: a map within 48 A, the 24 px of 2 A of map.mrc" in done.err
    assert "found: 40 px of 2 A" in done.err
    assert "remedy: name the map with the largest box first, or mask or crop this one" in done.err
    assert not Path("new").exists()
    assert not Path(".new.unfinished").exists()
    make(cli, "new", "volume=[wide.mrc,map.mrc]", "count=5", "box=40")


ATOM = "ATOM  {0:5d}  CA  ALA A{0:4d}    {1:8.3f}{2:8.3f}{3:8.3f}  1.00 40.00           C\n"


def trajectory(path: str, *moves: float) -> None:
    """Write models of a still part at x of 50 A, and an atom that moves along y, off every mass centre."""
    still = "".join(ATOM.format(number, 48.0 + number, 50.0, 50.0 + number % 3) for number in range(1, 5))
    models = [
        f"MODEL     {number:4d}\n{still}{ATOM.format(5, 50.0, 50.0 + move, 50.0)}ENDMDL\n"
        for number, move in enumerate(moves, start=1)
    ]
    Path(path).write_text("".join(models) + "END\n")


def test_models_of_one_file_stay_in_place_to_each_other(cli: Cli) -> None:
    trajectory("moving.pdb", 0.0, 6.0, 12.0)
    options = ("specimen=atomic_model", "volume=moving.pdb")
    folder = make(cli, "new", *options, "count=24", "shifts=none")
    table = starfile.read(folder / "sim.star")["particles"]
    numbers = table["rlnClassNumber"].to_numpy()
    assert table["rlnReferenceImage"].tolist() == [f"{number:06d}@moving.pdb" for number in numbers]
    for model in (1, 3):  # each by itself would have a centre of its own
        centre = "specimen.centre=[50.4,50,50.8]"  # of the first: its mass is that of five atoms
        done = cli(
            "simulate", "particles=new/sim.star", *options, f"specimen.model={model}", centre,
            f"out=model_{model}", "progress=false",
        )  # fmt: skip
        assert done.code == 0, done.err
        assert_alike(images(f"model_{model}")[numbers == model], images(folder)[numbers == model])
    trajectory("moving.pdb", 0.0, 6.0, 40.0)
    done = cli("simulate", *LIKE, *options, "count=5", "out=far")
    assert done.code == 1
    assert "moving.pdb: 1 of 5 atoms lie outside the box" in done.err
    done = cli("simulate", *LIKE, *options, "count=5", "out=far", "specimen.model=4")
    assert (done.code, "there is no model 4\n  expected: 1 to 3" in done.err) == (1, True)


def test_empty_ones_hold_ice_and_noise(cli: Cli) -> None:
    options = ("empty=0.5", "count=12", "solvent=ice", "detector=counting", "specimen.volts=1")
    folder = make(cli, "new", "volume=map.mrc", *options)
    empty = starfile.read(folder / "sim.star")["particles"]["rlnClassNumber"].to_numpy() == 0
    assert 0 < empty.sum() < 12
    made = images(folder)
    assert made[empty].std(axis=(1, 2)).min() > 0.5 * made[~empty].std(axis=(1, 2)).max()
    assert len({image.tobytes() for image in made}) == 12


def test_one_map_is_in_memory_at_a_time(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[WeakPhase]] = []
    alive: list[int] = []
    read: list[Path] = []
    build, load = WeakPhase.__init__, specimen.read_volume

    def watched(self: WeakPhase, *given: Any, **options: Any) -> None:
        alive.append(sum(one() is not None for one in made))
        made.append(weakref.ref(self))
        build(self, *given, **options)

    def counted(path: Path) -> tuple[np.ndarray, float | None]:
        read.append(path)
        return load(path)

    monkeypatch.setattr(WeakPhase, "__init__", watched)
    monkeypatch.setattr(specimen, "read_volume", counted)
    for number in range(3, 8):
        mrcfile.write(f"map_{number}.mrc", number * mrcfile.read("map.mrc"), voxel_size=PIXEL_SIZE)
    maps = ",".join(["map.mrc", "closed.mrc", *(f"map_{number}.mrc" for number in range(3, 8))])
    make(cli, "new", f"volume=[{maps}]", "count=120", "batch_size=4")
    assert alive == [0] * 7
    assert {read.count(path) for path in read} == {1, 2}  # looked at, then simulated


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((MAPS, "shares=[0.7,0.2]"), "the shares do not sum to 1"),
        ((MAPS, "shares=[1]"), "there are not as many shares as maps\n  expected: 2 shares"),
        (("volume=map.mrc", "shares=[]"), "there are not as many shares as maps\n  expected: 1 share,"),
        ((MAPS, "shares=0.5"), "shares cannot be used\n  expected: a list"),
        ((MAPS, "shares=[0.5,half]"), "the share of map 2 is out of range"),
        (("volume=map.mrc", "empty=1"), "empty is out of range"),
        (("volume=map.mrc", "empty=some"), "empty cannot be used\n  expected: a number"),
        (("volume=[]",), "volume names no maps\n  expected: one map or more"),
        (("volume=[map.mrc,map.mrc]",), "map.mrc: a map stands twice in the list"),
        (("volume=[map.mrc,gone.mrc]",), "gone.mrc: there is no such file"),
        (("volume=[map.mrc,particles.star]",), "particles.star"),
        (("volume=.", "specimen=atomic_model"), "there is no map in this folder"),
    ],
)
def test_bad_input(words: tuple[str, ...], said: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("simulate", *LIKE, "count=5", "out=new", *words)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "new").exists()
