"""A CryoSPARC project through every command: simulate, train, evaluate, export; uids and signs kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from tests.conftest import SMALL
from tests.io.cryosparc_files import location, particles, save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

COUNT, BOX, PIXEL_SIZE = 40, 32, 2.0
MAIN, PASSTHROUGH = "P1/J24/J24_particles.cs", "P1/J24/J24_passthrough_particles.cs"


@pytest.fixture
def project(tmp_path: Path) -> np.ndarray:
    """A project folder with dark-protein stacks, and a map beside it; the metadata as written."""
    rng = np.random.default_rng(7)
    table = particles(COUNT, BOX, PIXEL_SIZE)
    table["blob/sign"] = 1
    table["alignments3D/pose"] = rng.normal(0, 1, (COUNT, 3))
    table["ctf/exp_group_id"] = np.arange(COUNT) // 8
    more = location(table)
    more["location/micrograph_path"] = [
        f"J2/motion/mic_{uid % 10}.mrc".encode() for uid in more["uid"].tolist()
    ]
    for name in ("J19/extract", "J24"):
        (tmp_path / "P1" / name).mkdir(parents=True)
    save(tmp_path / MAIN, table)
    save(tmp_path / PASSTHROUGH, more)
    for name in "ab":
        with StackWriter(tmp_path / f"P1/J19/extract/{name}.mrc", COUNT // 2, BOX, PIXEL_SIZE) as stack:
            stack.write(rng.normal(100, 5, (COUNT // 2, BOX, BOX)))
    axis = np.linspace(-1, 1, BOX)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    density = np.exp(-((x - 0.2) ** 2 + 2 * y**2 + 3 * (z + 0.1) ** 2) / 0.05)
    mrcfile.write(tmp_path / "map.mrc", density.astype(np.float32), voxel_size=PIXEL_SIZE)
    return table


def simulate(cli: Cli, *options: str) -> None:
    done = cli("simulate", f"particles={MAIN}", "volume=map.mrc", "out=sims", "progress=false", *options)
    assert done.code == 0, done.err


def test_simulate(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    simulate(cli, f"passthrough={PASSTHROUGH}")
    made = np.load(tmp_path / "sims/sim.cs", allow_pickle=False)
    assert made["uid"].tolist() == project["uid"].tolist()
    assert made["location/micrograph_path"][0] == f"J2/motion/mic_{project['uid'][0] % 10}.mrc".encode()
    table = starfile.read(tmp_path / "sims/sim.star")["particles"]
    assert all(label.startswith("rln") for label in table)
    assert table["rlnImageOriginalName"][1] == "000001@J19/extract/b.mrc"
    assert table["rlnMicrographName"].tolist() == [name.decode() for name in made["location/micrograph_path"]]
    # the same particles from a STAR file give the same images
    write_particles(tmp_path / "same.star", read_particles(tmp_path / MAIN))
    done = cli("simulate", "particles=same.star", "volume=map.mrc", "out=again", "progress=false")
    assert done.code == 0, done.err
    a, b = (mrcfile.read(tmp_path / f"{name}/sim.mrcs") for name in ("sims", "again"))
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
    assert not (tmp_path / "again/sim.cs").exists()


def test_aberrations_are_refused_or_left_out(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    project["ctf/trefoil_A"] = 100
    project["ctf/anisomag"][3] = 0.01
    save(tmp_path / MAIN, project)
    done = cli("simulate", f"particles={MAIN}", "volume=map.mrc", "out=sims", "progress=false")
    assert done.code == 1
    assert "ctf/anisomag, ctf/trefoil_A" in done.err
    assert "ignore_aberrations=true" in done.err
    simulate(cli, "ignore_aberrations=true")


def ready(folder: Path, sim: str, **options: Any) -> PairedDataModule:
    module = PairedDataModule(folder / sim, folder / MAIN, passthrough=str(folder / PASSTHROUGH), **options)
    module.setup()
    return module


def test_pairs_by_uid_and_by_name_are_the_same(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    simulate(cli)
    rng = np.random.default_rng(2)
    save(
        tmp_path / "sims/shuffled.cs", rng.permutation(np.load(tmp_path / "sims/sim.cs", allow_pickle=False))
    )
    by_uid, by_name = (ready(tmp_path, f"sims/{name}") for name in ("shuffled.cs", "sim.star"))
    for module in (by_uid, by_name):
        sim, raw = module.sim, module.raw
        np.testing.assert_allclose(sim.defocus, raw.defocus, rtol=1e-6)
        assert (sim.sign == 1).all()
        assert (raw.sign == -1).all()
    assert by_uid.sim.table["uid"].to_list() == by_uid.raw.table["uid"].to_list()
    assert by_uid.sim.table["uid"].to_list() != project["uid"].tolist()
    assert len({*by_uid.raw.micrograph.tolist()}) == 10
    save(tmp_path / MAIN, project[1:])
    selected = ready(tmp_path, "sims/sim.cs")  # raw without the first particle
    assert selected.sim.table["uid"].to_list() == project["uid"][1:].tolist()


def test_raw_is_negated_where_the_metadata_say_so(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    project["blob/sign"][::2] = -1
    save(tmp_path / MAIN, project)
    simulate(cli)
    images = ready(tmp_path, "sims/sim.cs").raw_images
    for row in (0, 1, 6, 7):
        name, slot = project["blob/path"][row].decode(), project["blob/idx"][row]
        stored = mrcfile.read(tmp_path / "P1" / name)[slot]
        np.testing.assert_array_equal(images.image(row), stored * -project["blob/sign"][row])


def test_split_by_a_column_of_cryosparcs(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    simulate(cli)
    module = ready(tmp_path, "sims/sim.cs", split={"by": "ctf/exp_group_id"})
    groups = [
        set(module.particles(part)[1].table["ctf/exp_group_id"]) for part in ("train", "validation", "test")
    ]
    assert sorted(number for group in groups for number in group) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_train_evaluate_and_export(project: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    simulate(cli)
    files = ("data.sim=sims/sim.cs", f"data.raw={MAIN}", f"data.passthrough=[{PASSTHROUGH}]")
    done = cli("train", "data=stars", *files, "+debug=smoke", *SMALL[3:], "hydra.run.dir=run")
    assert done.code == 0, done.err
    described = json.loads((tmp_path / "run/data.json").read_text())
    assert described["sign"] == {"sim": {"1": COUNT, "-1": 0}, "raw": {"1": 0, "-1": COUNT}}
    done = cli(
        "evaluate",
        "run=run",
        "part=train",
        "out=tested",
        "progress=false",
        "device=cpu",
        "measures=[]",
    )
    assert done.code == 0, done.err
    table = starfile.read(tmp_path / "tested/raw.star")["particles"]
    for row in (0, 5):
        slot, name = table["rlnImageOriginalName"][row].split("@")
        stored = mrcfile.read(tmp_path / "P1" / name)[int(slot) - 1]
        made = mrcfile.read(tmp_path / "tested/raw.mrcs")[row]
        assert np.corrcoef(made.ravel(), -stored.ravel())[0, 1] > 1 - 1e-6
    fake, raw = (np.load(tmp_path / f"tested/{kind}.cs", allow_pickle=False) for kind in ("fake", "raw"))
    assert fake["uid"].tolist() == raw["uid"].tolist()
    assert set(fake["uid"]) <= set(project["uid"])
    done = cli("export", "run=run", "particles=sims/sim.cs", "out=fakes", "progress=false", "device=cpu")
    assert done.code == 0, done.err
    made = np.load(tmp_path / "fakes/fake.cs", allow_pickle=False)
    assert made["uid"].tolist() == project["uid"].tolist()
    assert set(made["blob/path"].tolist()) == {b"fake.mrcs"}
    assert mrcfile.read(tmp_path / "fakes/fake.mrcs").shape == (COUNT, BOX, BOX)
