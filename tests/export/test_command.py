"""A trained generator refines a stack of its own: which images, in which grey values, with which names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.data.normalize import Normalization
from cryoalign.export.fakes import export_fakes
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.models.baselines import Identity
from cryoalign.particles import Optics
from cryoalign.refine.refiner import Refiner
from tests.agreement.conftest import random_particles
from tests.conftest import SMALL

if TYPE_CHECKING:
    from tests.conftest import Cli


def sims(run: Path) -> Path:
    """The simulated stack that a run was trained on."""
    (star,) = (
        name
        for name in json.loads((run / "provenance.json").read_text())["data"]
        if name.endswith("sim.star")
    )
    return Path(star)


def export(cli: Cli, run: Path, out: str, *options: str) -> Path:
    done = cli("export", f"run={run}", f"particles={sims(run)}", f"out={out}", "progress=false", *options)
    assert done.code == 0, done.err
    folder = Path.cwd() / out
    assert [Path(line).resolve() for line in done.out.split()] == sorted(folder.glob("*.star"))
    return folder


def test_row_for_row(run: Path, cli: Cli) -> None:
    folder = export(cli, run, "new")
    given, made = (starfile.read(star) for star in (sims(run), folder / "fake.star"))
    count = len(given["particles"])
    assert made["particles"]["rlnImageName"].tolist() == [f"{i + 1:06d}@fake.mrcs" for i in range(count)]
    for label in ("rlnImageOriginalName", "rlnMicrographName", "rlnRandomSubset"):
        assert made["particles"][label].tolist() == given["particles"][label].tolist()
    for label in (
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnAnglePsi",
        "rlnOriginXAngst",
        "rlnDefocusU",
        "rlnDefocusAngle",
    ):
        np.testing.assert_allclose(made["particles"][label], given["particles"][label], rtol=1e-9)
    assert made["optics"]["rlnImageSize"].tolist() == [32]
    with mrcfile.open(folder / "fake.mrcs") as stack:
        assert stack.data.shape == (count, 32, 32)
        assert stack.data.dtype == np.float32
        assert stack.is_image_stack()
        assert float(stack.voxel_size.x) == pytest.approx(7.08)


def test_draws_of_a_generator_without_noise_are_alike(run: Path, cli: Cli) -> None:
    folder = export(cli, run, "new", "draws=2")
    first, second = (folder / f"fake_draw0{draw}" for draw in (1, 2))
    np.testing.assert_array_equal(mrcfile.read(f"{first}.mrcs"), mrcfile.read(f"{second}.mrcs"))
    names = starfile.read(f"{second}.star")["particles"]["rlnImageName"]
    assert names.iloc[2] == "000003@fake_draw02.mrcs"


def test_draws_of_a_generator_with_noise(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Other noise each draw, the same again in each export, whoever reads; out of [-1, 1]."""
    done = cli(
        "train", "+debug=smoke", "+experiment=noise", *SMALL, f"paths.cache={cache}", "generator.head=tanh",
        "data.normalization.range=minmax", "generator.width=4", "discriminator.width=4",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    folder = export(cli, run, "new", "draws=2")
    first, second = (mrcfile.read(folder / f"fake_draw0{draw}.mrcs") for draw in (1, 2))
    assert (np.abs(first - second).max(axis=(1, 2)) > 1e-4).all()

    again = export(cli, run, "again", "draws=2", "workers=1")
    for number, fakes in enumerate((first, second), start=1):
        np.testing.assert_array_equal(mrcfile.read(again / f"fake_draw0{number}.mrcs"), fakes)

    # in the mean range of the training set's raw images
    fitted = json.loads((run / "data.json").read_text())["normalization"]
    assert fitted["raw_low"] - 1e-5 <= first.min() < first.max() <= fitted["raw_high"] + 1e-5


def anonymous_memory() -> float:
    """Memory of this process in MB that is no file's."""
    (found,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """160 MB of images, in batches of 4 MB."""
    count, box = 640, 256
    optics = Optics(1, "one", 2.0, 300.0, 2.7, 0.1, box_size=box)
    rng = np.random.default_rng(0)
    with StackWriter(tmp_path / "sim.mrcs", count, box, 2.0) as writer:
        for _ in range(count // 8):
            writer.write(rng.normal(size=(8, box, box)))
    names = [f"{i + 1:06d}@sim.mrcs" for i in range(count)]
    write_particles(tmp_path / "sim.star", random_particles(count, optics), image_names=names)
    seen: list[float] = []
    write = StackWriter.write

    def watched(self: StackWriter, images: np.ndarray) -> None:
        seen.append(anonymous_memory())
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", watched)
    refiner = Refiner(Identity(box), Normalization(), seed=1, box=box, pixel_size=2.0)
    export_fakes(refiner, tmp_path / "sim.star", tmp_path / "out", progress=False)
    assert len(seen) == count // refiner.batch_size
    assert max(seen[2:]) - seen[1] < 20
    assert max(seen) - seen[0] < 40
    written, given = (mrcfile.mmap(tmp_path / name) for name in ("out/fake.mrcs", "sim.mrcs"))
    for image in (0, 333, count - 1):
        np.testing.assert_array_equal(written.data[image], given.data[image])
    written.close()
    given.close()
