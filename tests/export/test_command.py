"""A trained generator refines a stack of its own: which images, in which grey values, with which names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch
from omegaconf import OmegaConf

from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.export.fakes import export_fakes
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.models.baselines import Identity
from cryoalign.particles import Optics
from cryoalign.physics.fourier import fourier_resize
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
    """Other noise each draw, the same again with the same seed, whoever reads; out of [-1, 1]."""
    done = cli(
        "train", "+debug=smoke", "+experiment=noise", *SMALL, f"paths.cache={cache}", "generator.head=tanh",
        "data.normalization.range=minmax", "generator.width=4", "discriminator.width=4",
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    folder = export(cli, run, "new", "draws=2", "seed=3")
    first, second = (mrcfile.read(folder / f"fake_draw0{draw}.mrcs") for draw in (1, 2))
    assert (np.abs(first - second).max(axis=(1, 2)) > 1e-4).all()

    again = export(cli, run, "again", "draws=2", "workers=1", "seed=3")
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


def test_a_measured_stack_is_refused(run: Path, cli: Cli, tmp_path: Path) -> None:
    """By its file, by the names of its images, and by its noise where both are others."""
    raw = sims(run).parents[1] / "raw.star"
    shares = json.loads((run / "data.json").read_text())["background_share"]
    assert 0 < shares["sim"] < shares["raw"] - 0.3 < 0.7
    read = read_particles(raw)
    copied = tmp_path / "other" / "particles.mrcs"
    copied.parent.mkdir()
    copied.write_bytes(raw.with_name("raw.mrcs").read_bytes())
    names = [f"{slot + 1:06d}@particles.mrcs" for slot in read.slot]
    write_particles(copied.with_name("other.star"), read, image_names=names, box=32)
    for star, said in (
        (raw, "was trained on"),
        (copied.with_name("other.star"), "as noisy as measured ones"),
    ):
        done = cli("export", f"run={run}", f"particles={star}", "out=new", "progress=false")
        assert done.code == 1, done.err
        assert "seems to be measured, not simulated" in done.err
        assert said in done.err
        assert not (tmp_path / "new").exists()
    done = cli("export", f"run={run}", f"particles={star}", "out=new", "progress=false", "measured=take",
               "unlike=take")  # fmt: skip
    assert done.code == 0, done.err


def test_a_run_of_star_files_knows_its_raw(run: Path, cli: Cli, tmp_path: Path) -> None:
    """By the file that it was given, however its images are called and how noisy they are."""
    raw = tmp_path / "mine.star"
    read = read_particles(sims(run).parents[1] / "raw.star")
    stack = sims(run).with_name("sim.mrcs")
    (tmp_path / "mine.mrcs").write_bytes(stack.read_bytes())
    names = [f"{slot + 1:06d}@mine.mrcs" for slot in read.slot]
    write_particles(raw, read, image_names=names, box=32)
    copied = shutil.copytree(run, tmp_path / "copied")
    configuration = OmegaConf.load(copied / "config.yaml")
    configuration.data.raw = str(raw)
    OmegaConf.save(configuration, copied / "config.yaml")
    command = ("export", f"particles={raw}", "progress=false")
    done = cli(*command, f"run={copied}", "out=new")
    assert (done.code, "was trained on" in done.err) == (1, True), done.err
    done = cli(*command, f"run={run}", "out=new")
    assert done.code == 0, done.err


def test_a_noisy_simulation_of_our_own_is_taken(run: Path, cli: Cli) -> None:
    """As no measured one, though its electrons are another grey scale than the training's."""
    folder = sims(run).parents[1]
    done = cli(
        "simulate", f"particles={folder / 'raw.star'}", f"volume={folder / 'volume.mrc'}", "specimen.volts=1",
        "detector=counting", "out=noisy", "progress=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    command = ("export", f"run={run}", "particles=noisy/sim.star", "out=new", "progress=false")
    done = cli(*command)
    assert (done.code, "unlike those that the run was trained on" in done.err) == (1, True), done.err
    done = cli(*command, "unlike=take")
    assert done.code == 0, done.err


def test_sims_of_more_pixels_are_cropped_and_this_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    particles = random_particles(3, Optics(1, "one", 1.5, 300.0, 2.7, 0.1, box_size=64))
    with StackWriter(tmp_path / "sim.mrcs", 3, 64, 1.5) as writer:
        writer.write(rng.normal(size=(3, 64, 64)))
    write_particles(tmp_path / "sim.star", particles, image_names=[f"{i + 1:06d}@sim.mrcs" for i in range(3)])
    caplog.set_level("INFO")

    def exported(box: int, pixel_size: float) -> np.ndarray:
        refiner = Refiner(Identity(box), Normalization(), seed=1, box=box, pixel_size=pixel_size)
        export_fakes(refiner, tmp_path / "sim.star", tmp_path / "out", progress=False, overwrite=True)
        return mrcfile.read(tmp_path / "out" / "fake.mrcs")

    whole = exported(64, 1.5)
    assert "cropped" not in caplog.text
    cropped = exported(32, 3.0)
    assert "sims of 64 px at 1.5000 A/px are Fourier-cropped to the run's 32 px at 3.0000 A/px" in caplog.text
    expected = fourier_resize(torch.from_numpy(whole), 32).numpy()
    np.testing.assert_allclose(cropped, expected, atol=1e-5)
    for box, pixel_size in ((32, 2.5), (32, 1.5), (80, 1.2)):  # other fields of view; too few pixels
        with pytest.raises(InputError, match=r"trained on other images(.|\n)*box 64 px at 1.5000 A/px"):
            exported(box, pixel_size)
