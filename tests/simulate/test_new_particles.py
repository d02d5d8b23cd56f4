"""New particles from the command line: from measured ones and a map to a labelled stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import StackWriter
from cryoalign.io.simulated import simulated_uids
from cryoalign.population.blocks import SIZE
from tests.io import cryosparc_files
from tests.simulate.commanded import BOX, PIXEL_SIZE, THROUGH_A_LENS

if TYPE_CHECKING:
    from tests.conftest import Cli

LIKE = ("like=particles.star", "volume=map.mrc", "progress=false")


@pytest.fixture(autouse=True)
def _lens(density: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS)


def make(cli: Cli, out: str, *options: str) -> Path:
    done = cli("simulate", *LIKE, f"out={out}", *options)
    assert done.code == 0, done.err
    return Path.cwd() / out


def rows(folder: Path) -> list[str]:
    """Return the lines of particles as they are written."""
    return [line for line in (folder / "sim.star").read_text().splitlines() if "@sim" in line]


def test_more_begin_with_the_fewer(cli: Cli) -> None:
    few, many = make(cli, "few", "count=40"), make(cli, "many", "count=60", "batch_size=7")
    assert rows(many)[:40] == rows(few)
    assert len(rows(many)) == 60
    images = [mrcfile.read(folder / "sim.mrcs") for folder in (few, many)]
    np.testing.assert_allclose(images[1][:40], images[0], atol=1e-5 * images[0].std())
    other = make(cli, "other", "count=40", "seed=1")
    assert not set(rows(other)) & set(rows(few))


def test_they_are_the_images_that_their_metadata_say(cli: Cli) -> None:
    """Simulated again from what was written, as any other program would."""
    options = ("poses=cone", "conditions=ranges", "shifts=normal")
    folder = make(cli, "new", "count=20", *options)
    again = cli("simulate", "particles=new/sim.star", "volume=map.mrc", "out=again", "progress=false")
    assert again.code == 0, again.err
    images = [mrcfile.read(Path(name) / "sim.mrcs") for name in (folder, "again")]
    np.testing.assert_allclose(images[1], images[0], atol=1e-4 * images[0].std())
    tables = starfile.read(folder / "sim.star", parse_as_string=["cryoalignValue"])
    said = dict(tables["simulation"].to_numpy().tolist())
    assert said["poses._target_"].endswith("Cone")
    assert (said["count"], said["like"]) == ("20", "particles.star")
    assert said["conditions.defocus"] == "[5000.0,25000.0]"
    table = tables["particles"]
    assert set(table["rlnReferenceImage"]) == {"map.mrc"}
    assert set(table["rlnRandomSeed"]) == {0}
    assert table["rlnParticleName"].is_unique
    assert set(table["rlnMicrographMovieName"]) <= {"a.mrc", "b.mrc"}
    assert table["rlnAngleTilt"].between(0, 30).all()
    assert table["rlnDefocusU"].min() > 5000
    assert table["rlnOriginXAngst"].std() > 1
    assert "rlnImageOriginalName" not in table
    assert "rlnClassNumber" not in table  # of the measured particle


def test_poses_of_a_file(cli: Cli, tmp_path: Path) -> None:
    views = "data_\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n1 2 3\n4 5 6\n7 8 9\n"
    (tmp_path / "views.star").write_text(views)
    options = ("poses=file", "poses.file=views.star")
    table = starfile.read(make(cli, "new", "count=2", *options) / "sim.star")["particles"]
    assert table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    done = cli("simulate", *LIKE, "out=more", "count=4", *options)
    assert (done.code, "fewer poses than particles" in done.err) == (1, True)
    (tmp_path / "views.star").write_text(views.replace("1 2 3", "1 2 4"))
    changed = starfile.read(make(cli, "changed", "count=2", *options) / "sim.star")["particles"]
    assert not set(changed["rlnParticleName"]) & set(table["rlnParticleName"])


def test_an_interrupted_one_goes_on_byte_for_byte(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("count=1100", "batch_size=100", "box=8", "poses=like", "detector=counting", "specimen.volts=1")
    whole = make(cli, "whole", *options)
    write, seen = StackWriter.write, []

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written == 400 and not seen:
            seen.append(self.written)
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    assert cli("simulate", *LIKE, "out=again", *options).code == 130
    other = cli("simulate", *LIKE, "out=again", *options[1:], "count=1200")  # another stack
    assert "behind the first" not in other.out + other.err
    seen.clear()
    assert cli("simulate", *LIKE, "out=again", "overwrite=true", *options).code == 130
    done = cli("simulate", *LIKE, "out=again", "overwrite=true", *options)
    assert "behind the first 400 of 1100 images" in done.out + done.err
    for name in ("sim.mrcs", "sim.star"):
        assert (Path("again") / name).read_bytes() == (whole / name).read_bytes()
    assert len(rows(whole)) == 1100 > SIZE  # over more than one block


def test_stacks_made_apart_share_no_noise(density: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    mrcfile.write(tmp_path / "other.mrc", density[::-1], voxel_size=PIXEL_SIZE)
    options = ("count=60", "poses=file", "poses.file=views.star", "detector=counting", "specimen.volts=1e-3")
    view = "data_\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n" + "0 0 0\n" * 60
    (tmp_path / "views.star").write_text(view)
    noise = []
    for name, more in (("one", ()), ("again", ()), ("other", ("volume=other.mrc",)), ("seed", ("seed=1",))):
        images = mrcfile.read(make(cli, name, *options, *more) / "sim.mrcs")
        noise.append((images - images.mean(axis=(1, 2), keepdims=True)).ravel())
    one, again, other, seed = noise
    assert np.array_equal(one, again)
    chance = 5 / np.sqrt(len(one))
    assert abs(np.corrcoef(one, other)[0, 1]) < chance
    assert abs(np.corrcoef(one, seed)[0, 1]) < chance


def test_like_cryosparcs(cli: Cli, tmp_path: Path) -> None:
    table = cryosparc_files.particles(12, BOX, PIXEL_SIZE)
    cryosparc_files.save(tmp_path / "J1.cs", table)
    folder = make(cli, "new", "like=J1.cs", "count=1500", "box=8")
    star, cs = (read_particles(folder / name) for name in ("sim.star", "sim.cs"))
    uids = cs.table["uid"].tolist()
    assert star.table["rlnParticleName"].tolist() == [f"simulated_{uid:016x}" for uid in uids]
    assert not set(uids) & set(table["uid"].tolist())
    for particles in (star, cs):
        found = simulated_uids(particles)
        assert found is not None
        assert found.tolist() == uids
    for name in ("shift", "defocus", "phase_shift", "ctf_bfactor", "half", "slot"):
        np.testing.assert_allclose(getattr(cs, name), getattr(star, name), rtol=1e-5, atol=1e-4)
    assert cs.stack.tolist() == star.stack.tolist() == ["sim.mrcs"] * 1500
    assert set(cs.table["ctf/exp_group_id"]) == {4}
    assert "alignments3D/class_posterior" not in cs.table  # of the measured particle
    assert {"rlnParticleName", "rlnOriginalParticleName"} <= set(star.table)
    assert not any("/" in name for name in star.table)


def test_boxes_of_their_optics_groups(cli: Cli, tmp_path: Path) -> None:
    text = THROUGH_A_LENS.replace("7 krios 300 2.7 0.1", "7 krios 300 2.7 0.1", 1)
    group = f"7 krios 300 2.7 0.1 {PIXEL_SIZE} {BOX}\n"
    text = text.replace(group, f"{group}8 other 200 2.7 0.1 {PIXEL_SIZE * BOX / 16} 16\n")
    (tmp_path / "particles.star").write_text(text.replace("30 7 1", "30 8 1"))
    folder = make(cli, "new", "count=1200")
    particles = read_particles(folder / "sim.star")
    for name, box in (("sim_016px.mrcs", 16), ("sim_024px.mrcs", 24)):
        here = particles.take(np.flatnonzero(particles.stack == name))
        assert here.slot.tolist() == list(range(len(here)))
        assert set(here.optics_column("box_size")) == {box}
        assert mrcfile.read(folder / name).shape == (len(here), box, box)
    assert 200 < np.count_nonzero(particles.stack == "sim_016px.mrcs") < 400  # one of four measured ones


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("like=particles.star", "count=0"), "count is out of range\n  expected: a whole number, 1 to"),
        (("like=particles.star",), "how many new particles?\n  remedy: give count="),
        (("like=particles.star", "count=some"), "count cannot be used\n  expected: a whole number"),
        (
            ("like=particles.star", "count=5", "particles=particles.star"),
            "particles and like exclude",
        ),
        ((), "there are no particles to simulate\n  expected: particles="),
        (("particles=particles.star", "count=5"), "count belongs to like="),
        (("particles=particles.star", "poses=cone"), "poses belongs to like="),
        (("particles=particles.star", "shifts=none"), "shifts belongs to like="),
        (("like=gone.star", "count=5"), "gone.star: there is no such file"),
        (("like=particles.star", "count=5", "poses=file"), "poses.file has no default"),
        (
            ("like=particles.star", "count=5", "poses=file", "poses.file=no.star"),
            "no.star: there is no such file",
        ),
        (("like=particles.star", "count=5", "poses=like", "poses.jitter=-1"), "poses.jitter is out of range"),
        (("like=particles.star", "count=5", "conditions=ranges", "conditions.defocus=[2,1]"), "no range"),
        (("like=particles.star", "count=5", "poses=some"), "some"),
    ],
)
def test_what_cannot_be_drawn_is_refused(words: tuple[str, ...], said: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("simulate", "volume=map.mrc", "out=new", "progress=false", *words)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "new").exists()


def test_symmetry_expanded_particles_are_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text(THROUGH_A_LENS.replace("000009@", "000003@"))
    done = cli("simulate", *LIKE, "out=new", "count=5")
    assert done.code == 1
    assert done.err.startswith("error: particles.star, row 4: an image stands in several rows (1 of 4 rows)")
    assert "000003@gone/a.mrcs, as in row 1" in done.err


def test_without_a_ctf(cli: Cli, tmp_path: Path) -> None:
    lines = [line for line in THROUGH_A_LENS.splitlines() if "rlnDefocus" not in line]
    cells = [" ".join(line.split()[:7] + line.split()[10:]) if "@" in line else line for line in lines]
    (tmp_path / "particles.star").write_text("\n".join(cells) + "\n")
    done = cli("simulate", *LIKE, "out=new", "count=5")
    assert done.code == 1
    assert "there are no CTF columns" in done.err
    assert "missing_ctf=neutral" in done.err
    table = read_particles(make(cli, "new", "count=5", "missing_ctf=neutral") / "sim.star")
    assert not table.defocus.any()
    done = cli("simulate", *LIKE, "out=ranged", "count=5", "missing_ctf=neutral", "conditions=ranges")
    assert (done.code, "have no CTF" in done.err) == (1, True)
