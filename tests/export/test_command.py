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
import torch
from omegaconf import OmegaConf

from cryoalign.data.normalize import Normalization
from cryoalign.export.stack import refine_stack
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics
from cryoalign.runs.folder import Run
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


def test_fakes_are_those_of_the_runs_own_test(run: Path, cli: Cli) -> None:
    folder = export(cli, run, "new")
    names = starfile.read(folder / "fake.star")["particles"]["rlnImageOriginalName"].tolist()
    tested = starfile.read(run / "test" / "fake.star")["particles"]["rlnImageOriginalName"]
    fakes = mrcfile.read(folder / "fake.mrcs")[[names.index(name) for name in tested]]
    np.testing.assert_allclose(fakes, mrcfile.read(run / "test" / "fake.mrcs"), atol=1e-5)


def test_draws_of_a_generator_without_noise_are_alike(run: Path, cli: Cli) -> None:
    folder = export(cli, run, "new", "draws=2")
    first, second = (folder / f"fake_draw0{draw}" for draw in (1, 2))
    np.testing.assert_array_equal(mrcfile.read(f"{first}.mrcs"), mrcfile.read(f"{second}.mrcs"))
    names = starfile.read(f"{second}.star")["particles"]["rlnImageName"]
    assert names.iloc[2] == "000003@fake_draw02.mrcs"


def test_draws_of_a_generator_with_noise(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Other noise each draw, the same again in each export, whatever the batches; out of [-1, 1]."""
    done = cli(
        "train", "+debug=smoke", "+experiment=noise", *SMALL, f"paths.cache={cache}", "generator.head=tanh",
        "data.normalization.range=minmax", "generator.width=4", "discriminator.width=4",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    folder = export(cli, run, "new", "draws=2")
    first, second = (mrcfile.read(folder / f"fake_draw0{draw}.mrcs") for draw in (1, 2))
    assert (np.abs(first - second).max(axis=(1, 2)) > 1e-4).all()

    again = export(cli, run, "again", "draws=2")
    batches = export(cli, run, "batches", "draws=2", "batch_size=7")
    for draw, fakes in enumerate((first, second), start=1):
        np.testing.assert_array_equal(mrcfile.read(again / f"fake_draw0{draw}.mrcs"), fakes)
        np.testing.assert_allclose(mrcfile.read(batches / f"fake_draw0{draw}.mrcs"), fakes, atol=1e-5)

    # the first draw is what the test saw, but in the mean range of raw instead of that of its own raw
    names = starfile.read(folder / "fake_draw01.star")["particles"]["rlnImageOriginalName"].tolist()
    tested = starfile.read(run / "test" / "fake.star")["particles"]["rlnImageOriginalName"]
    limits = np.genfromtxt(run / "test" / "normalization.csv", delimiter=",", names=True)
    low, high = (limits[name][:, None, None] for name in ("low", "high"))
    values = (mrcfile.read(run / "test" / "fake.mrcs") - low) / (high - low)
    assert values.min() >= -1e-6
    assert values.max() <= 1 + 1e-6
    fitted = json.loads((run / "data.json").read_text())["normalization"]
    expected = values * (fitted["raw_high"] - fitted["raw_low"]) + fitted["raw_low"]
    np.testing.assert_allclose(first[[names.index(name) for name in tested]], expected, atol=1e-4)


class Copy:
    """Return the sims as they are."""

    def to(self, _device: str) -> Copy:
        return self

    def eval(self) -> Copy:
        return self

    def refine(self, sim: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return sim


def anonymous_memory() -> float:
    """Memory of this process in MB that is no file's."""
    (found,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """160 MB of images, in batches of 2 MB."""
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
    cfg = OmegaConf.create({"data": {"box": None, "resample": False, "check_header": True}})
    run = Run(tmp_path, cfg, {"box": box, "pixel_size": 2.0, "normalization": Normalization().state()})
    refine_stack(run, Copy(), tmp_path / "sim.star", tmp_path / "out", batch_size=8, progress=False)  # type: ignore[arg-type]
    assert len(seen) == count // 8
    assert max(seen[2:]) - seen[1] < 20
    assert max(seen) - seen[0] < 40
    written, given = (mrcfile.mmap(tmp_path / name) for name in ("out/fake.mrcs", "sim.mrcs"))
    for image in (0, 333, count - 1):
        np.testing.assert_array_equal(written.data[image], given.data[image])
    written.close()
    given.close()
