"""New particles are refined like others, and who they are stays with them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import mrcfile
import numpy as np
import pytest
import starfile
import torch
from matplotlib.image import imread

from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.evaluate.reading import Reader
from cryoalign.export.fakes import export_fakes
from cryoalign.figures import overview
from cryoalign.io.metadata import read_particles as read_any
from cryoalign.io.neighbour_table import has_neighbour, neighbour_table
from cryoalign.io.ownership import listed
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.simulated import simulated_uids
from cryoalign.models.baselines import Spectral
from cryoalign.population.classes import Classes
from cryoalign.population.population import Population
from cryoalign.refine.refiner import Refiner
from cryoalign.simulate.picture import PICTURE
from cryoalign.simulate.stream import simulate_particles
from tests.agreement.conftest import phantom
from tests.io import cryosparc_files
from tests.simulate.fields import write_field

if TYPE_CHECKING:
    from cryoalign.evaluate.stacks import Stacks
    from tests.conftest import Cli

BOX, PIXEL_SIZE = 16, 2.0


def test_identity_and_origin_survive(
    run: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (sims,) = (file for file in files if file.name == "sim.star")
    volume = next(sims.parent.parent.rglob("*.mrc"))
    made = cli("simulate", f"like={sims}", "count=30", f"volume={volume}", "out=new", "progress=false")
    assert made.code == 0, made.err
    draw, seen = overview.overview, {}

    def noted(images: np.ndarray, *more: object, **title: object) -> object:
        seen.update(images=images, curves=more[1], conditions=more[2])
        return draw(images, *more, **title)

    monkeypatch.setattr(overview, "overview", noted)
    done = cli(
        "export", f"run={run}", "particles=new/sim.star", "out=refined", "names=project", "progress=false",
        "picture=true",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert_picture(run, tmp_path / "refined", seen)
    sim, fake = (read_particles(tmp_path / name) for name in ("new/sim.star", "refined/fake.star"))
    assert set(fake.stack) == {"refined/fake.mrcs"}
    uids = simulated_uids(sim)
    assert uids is not None
    assert uids.tolist() == simulated_uids(fake).tolist()
    for name in ("rlnOriginalParticleName", "rlnMicrographMovieName", "rlnReferenceImage", "rlnRandomSeed"):
        assert fake.table[name].tolist() == sim.table[name].tolist()
    assert fake.half.tolist() == sim.half.tolist()


def assert_picture(run: Path, out: Path, seen: dict[str, Any]) -> None:
    """It is of the fakes, with their sims and what the run's test has of the measurement."""
    assert imread(out / PICTURE).ndim == 3
    files = {".cryoalign", "provenance.json", "fake.mrcs", "fake.star", PICTURE}
    assert listed(out) == {path.name for path in out.iterdir()} == files
    fakes = mrcfile.read(out / "fake.mrcs")
    np.testing.assert_array_equal(seen["images"], fakes[np.linspace(0, 29, 8).astype(int)])
    tested = len(read_particles(run / "test" / "raw.star"))
    counts = {kind: len(table) for kind, table in seen["curves"].items()}
    assert counts == {"fake": 30, "sim": 30, "raw": tested}
    assert {kind: found.views for kind, found in seen["conditions"].items()} == {"fake": 30, "raw": tested}


def spectral() -> Spectral:
    """Return the closed form of raw = sim / 2 + noise."""
    torch.manual_seed(0)
    sim, noise = torch.randn(2, 60, 1, BOX, BOX)
    closed = Spectral(BOX)
    closed.fit([(sim, sim / 2 + noise, {"defocus": torch.linspace(8e3, 2e4, 60)}, torch.arange(60) // 10)])
    return closed


def test_labels_survive_from_maps_to_fakes(tmp_path: Path) -> None:
    cryosparc_files.save(tmp_path / "J1.cs", cryosparc_files.particles(12, BOX, PIXEL_SIZE))
    maps = [tmp_path / "open.mrc", tmp_path / "closed.mrc"]
    for path, density in zip(maps, (phantom(BOX), phantom(BOX)[::-1]), strict=True):
        mrcfile.write(path, np.ascontiguousarray(density), voxel_size=PIXEL_SIZE)
    new = Population(read_any(tmp_path / "J1.cs"), 60, classes=Classes((0.7, 0.3), empty=0.2))
    star = simulate_particles(new, maps, tmp_path / "new", progress=False)
    sims = mrcfile.read(star.with_suffix(".mrcs"))
    refiner = Refiner(spectral(), Normalization(sim_scale=float(sims.std())), 1, BOX, PIXEL_SIZE)
    for name in ("sim.star", "sim.cs"):
        (fake,) = export_fakes(refiner, star.with_name(name), tmp_path / f"of_{name}", progress=False)
        files = [fake, fake.with_suffix(".cs")] if name == "sim.cs" else [fake]
        for file in files:
            table, given = read_any(file).table, read_any(star).table
            for column in ("rlnClassNumber", "rlnReferenceImage"):
                assert table[column].tolist() == given[column].tolist()
        assert starfile.read(fake)["model_classes"]["rlnReferenceImage"].tolist() == [
            str(path) for path in maps
        ]
        fakes = mrcfile.read(fake.with_suffix(".mrcs"))
        empty = given["rlnClassNumber"].to_numpy() == 0
        assert 0 < empty.sum() < 30
        assert fakes[empty].std(axis=(1, 2)).min() > 0.5  # noise of their own
        seen = [
            np.corrcoef(one.ravel(), of.ravel())[0, 1]
            for one, of in zip(fakes, sims, strict=True)
            if of.any()
        ]
        assert np.mean(seen) > 0.2
    ranged = Refiner(spectral(), Normalization(range="minmax"), 1, BOX, PIXEL_SIZE)
    with pytest.raises(InputError, match="images without a particle are constant") as refused:
        export_fakes(ranged, star, tmp_path / "ranged", progress=False)
    assert refused.value.row == int(np.flatnonzero(empty)[0]) + 1


def test_neighbours_go_with_their_images(tmp_path: Path) -> None:
    """Of some images, in another order, with fewer pixels; images without any may show inventions."""
    write_field(tmp_path / "particles.star")
    mrcfile.write(tmp_path / "map.mrc", phantom(24), voxel_size=PIXEL_SIZE)
    new = Population(read_particles(tmp_path / "particles.star"), 40, classes=Classes((1.0,), empty=0.5))
    star = simulate_particles(new, tmp_path / "map.mrc", tmp_path / "new", neighbours=True, progress=False)
    some = read_particles(star).take(np.arange(30)[::-1])
    write_particles(star, some)
    refiner = Refiner(spectral(), Normalization(), 1, BOX, 24 / BOX * PIXEL_SIZE)
    (fake,) = export_fakes(refiner, star, tmp_path / "fakes", progress=False)
    given, found = (starfile.read(neighbour_table(one))["particles"] for one in (star, fake))
    given["number"] = 31 - given["rlnImageName"].str.partition("@")[0].astype(int)
    given = given[given["number"] > 0].sort_values("number", kind="stable")
    assert found["rlnImageName"].tolist() == [f"{number:06d}@fake.mrcs" for number in given["number"]]
    for name in ("rlnParticleName", "rlnAngleRot", "rlnOriginXAngst", "rlnDefocusU", "rlnClassNumber"):
        assert found[name].tolist() == given[name].tolist()
    places = [some[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy() for some in (found, given)]
    np.testing.assert_allclose(places[0] - BOX // 2, (places[1] - 12) * BOX / 24, atol=1e-6)
    refined = read_particles(fake)
    near = np.abs(places[0] - BOX // 2).max(axis=1) < BOX
    alone = ~np.isin(refined.image_name, found["rlnImageName"][near])
    assert has_neighbour(refined).tolist() == (~alone).tolist()
    empty = refined.table["rlnClassNumber"].to_numpy() == 0
    assert 0 < np.count_nonzero(empty & alone) < np.count_nonzero(empty)
    like = SimpleNamespace(box=BOX, pixel_size=3.0, particles=refined)
    probe = Reader().empties(fake, cast("Stacks", like))
    assert probe is not None
    assert probe.particles.image_name.tolist() == refined.image_name[empty & alone].tolist()
