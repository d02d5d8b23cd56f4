"""Optics groups of several box and pixel sizes: from the simulation to the evaluation of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.data.images import ParticleImages
from cryoalign.errors import InputError
from cryoalign.io.cryosparc.read import read_cryosparc
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import MrcStack, StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics
from cryoalign.simulate.stacks import stacks_by_box
from cryoalign.simulate.stream import simulate_particles
from tests.agreement.conftest import phantom, random_particles
from tests.io.cryosparc_files import particles as cryosparc_particles
from tests.io.cryosparc_files import save

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.particles import Particles
    from tests.conftest import Cli

COUNT = 48
OPTICS = (
    Optics(1, "krios", 3.0, 300.0, 2.7, 0.1, 32),
    Optics(2, "wider", 3.0, 300.0, 2.7, 0.1, 40),
    Optics(3, "finer", 2.4, 200.0, 2.7, 0.1, 40),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A map and measured particles of three groups: 32 and 40 px, 3 and 2.4 A/px."""
    particles = random_particles(COUNT, *OPTICS)
    particles = replace(
        particles, shift=particles.shift / 8, micrograph=np.array([f"mic{i // 4}.mrc" for i in range(COUNT)])
    )
    mrcfile.write(tmp_path / "map.mrc", phantom(32), voxel_size=3.0)
    names = np.array([f"{i // 3 + 1}@raw{i % 3}.mrcs" for i in range(COUNT)])
    write_particles(tmp_path / "raw.star", particles, image_names=names)
    read = read_particles(tmp_path / "raw.star")
    rng = np.random.default_rng(0)
    for index, group in enumerate(OPTICS):
        some = read.take(np.flatnonzero(read.optics_index == index))
        signal = simulate_particles(some, tmp_path / "map.mrc", tmp_path / f"signal{index}", progress=False)
        stack = MrcStack(signal.with_name("sim.mrcs"))
        with StackWriter(tmp_path / f"raw{index}.mrcs", len(some), stack.box, group.pixel_size) as writer:
            for number in range(len(some)):
                image = stack.read(number)
                writer.write(image + rng.normal(0, image.std(), image.shape))
    return tmp_path


def images_of(star: Path) -> tuple[Particles, list[np.ndarray]]:
    particles = read_particles(star)
    stacks = {name: MrcStack(star.with_name(name)) for name in set(particles.stack.tolist())}
    pairs = zip(particles.stack.tolist(), particles.slot.tolist(), strict=True)
    return particles, [stacks[name].read(slot) for name, slot in pairs]


def test_a_stack_for_each_box_size(folder: Path) -> None:
    """Each image is that which its group alone gives, and the STAR file keeps the order of raw."""
    star = simulate_particles(folder / "raw.star", folder / "map.mrc", folder / "sim", progress=False)
    assert {path.name for path in star.parent.iterdir() if path.name[0] != "."} == {
        "sim.star",
        "sim_032px.mrcs",
        "sim_040px.mrcs",
    }
    made, images = images_of(star)
    raw = read_particles(folder / "raw.star")
    assert made.table["rlnImageOriginalName"].tolist() == raw.image_name.tolist()
    assert [(group.box_size, group.pixel_size) for group in made.optics] == [(32, 3), (40, 3), (40, 2.4)]
    for index in range(3):
        rows = np.flatnonzero(raw.optics_index == index)
        _, alone = images_of(folder / f"signal{index}" / "sim.star")
        for row, expected in zip(rows, alone, strict=True):
            # two pixel sizes share a volume, which is fitted to both
            assert np.corrcoef(images[row].ravel(), expected.ravel())[0, 1] > (0.995 if index else 0.999999)


def test_an_interrupted_simulation_of_two_stacks_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = simulate_particles(folder / "raw.star", folder / "map.mrc", folder / "whole", progress=False)
    options = {"parameters": {"seed": 0}, "batch_size": 4, "progress": False}
    write, written = StackWriter.write, []

    def stop(self: StackWriter, images: np.ndarray) -> None:
        if len(written) == 7:  # four blocks fill the first stack
            raise KeyboardInterrupt
        written.append(self.path.name)
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate_particles(folder / "raw.star", folder / "map.mrc", folder / "again", **options)
    assert written == ["sim_032px.mrcs"] * 4 + ["sim_040px.mrcs"] * 3
    monkeypatch.undo()
    again = simulate_particles(folder / "raw.star", folder / "map.mrc", folder / "again", **options)
    for name in ("sim_032px.mrcs", "sim_040px.mrcs"):
        np.testing.assert_allclose(
            mrcfile.read(again.with_name(name)), mrcfile.read(whole.with_name(name)), atol=1e-5
        )


def test_boxes_of_raw_stacks_and_a_group_of_two(folder: Path) -> None:
    raw = read_particles(folder / "raw.star")
    silent = replace(raw, optics=tuple(replace(group, box_size=None) for group in raw.optics))
    assert [(*stack.files.names, stack.box) for stack in stacks_by_box(silent, None, None)] == [
        ("sim_032px.mrcs", 32),
        ("sim_040px.mrcs", 40),
    ]
    assert [(*stack.files.names, stack.box) for stack in stacks_by_box(raw, 24, None)] == [("sim.mrcs", 24)]
    joined = replace(silent, optics_index=silent.optics_index // 2)
    with pytest.raises(InputError, match=r"group krios do not have one box size(.|\n)*32 px, 40 px"):
        stacks_by_box(joined, None, None)


@pytest.mark.parametrize(("box", "problem"), [(1, "too small"), (4097, "too large"), (10**30, "too large")])
def test_a_box_that_cannot_be(box: int, problem: str, folder: Path) -> None:
    raw = read_particles(folder / "raw.star")
    wrong = replace(raw, optics=(raw.optics[0], replace(raw.optics[1], box_size=box), raw.optics[2]))
    row = int(np.flatnonzero(raw.optics_index == 1)[0]) + 1
    with pytest.raises(InputError, match=f"raw.star, row {row}: the box is {problem}(.|\n)*found: {box} px"):
        stacks_by_box(wrong, None, None)


def test_a_box_that_cannot_be_of_cryosparc(tmp_path: Path) -> None:
    table = cryosparc_particles(3, 32, 3.0)
    table["blob/shape"][1] = 2**31
    raw = read_cryosparc(save(tmp_path / "raw.cs", table))
    with pytest.raises(InputError, match=r"raw.cs, row 2: the box is too large(.|\n)*2 to 4096 px"):
        stacks_by_box(raw, None, None)


def test_a_map_whose_pixel_size_nobody_set(folder: Path) -> None:
    """Taken for that of the images of its own box, it would be 3 A for those and 1 A for the others."""
    mrcfile.write(folder / "map.mrc", phantom(32), voxel_size=1.0, overwrite=True)
    with pytest.raises(InputError, match=r"pixel size of the map is not known(.|\n)*volume_pixel_size="):
        simulate_particles(folder / "raw.star", folder / "map.mrc", folder / "sim", progress=False)
    assert not (folder / "sim").exists()


def test_particles_of_cryosparc(tmp_path: Path) -> None:
    table = cryosparc_particles(8, 32, 3.0)
    table["blob/shape"][::2] = 40
    mrcfile.write(tmp_path / "map.mrc", phantom(32), voxel_size=3.0)
    raw = read_cryosparc(save(tmp_path / "raw.cs", table))
    simulate_particles(raw, tmp_path / "map.mrc", tmp_path / "sim", progress=False)
    made = read_cryosparc(tmp_path / "sim" / "sim.cs")
    assert made.stack.tolist() == ["sim_040px.mrcs", "sim_032px.mrcs"] * 4
    assert made.slot.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert made.optics_column("box_size").tolist() == [40, 32] * 4


def test_from_simulate_to_evaluate(folder: Path, cli: Cli) -> None:
    done = cli("simulate", "particles=raw.star", "volume=map.mrc", "out=sim", "progress=false")
    assert done.code == 0, done.err
    training = (
        "train", "data=stars", "data.sim=sim/sim.star", "data.raw=raw.star", "generator=identity",
        "trainer=cpu", "trainer.enable_progress_bar=false", "hydra.run.dir=run", "audit=off",
    )  # fmt: skip
    done = cli(*training)
    assert done.code == 1
    assert "data.resample=true" in done.err
    done = cli(*training, "data.resample=true")
    assert done.code == 0, done.err
    noted = json.loads((folder / "run" / "data.json").read_text())
    assert (noted["box"], noted["pixel_size"]) == (32, 3.0)
    done = cli("export", "run=run", "particles=sim/sim.star", "out=fakes", "progress=false", "device=cpu")
    assert done.code == 0, done.err
    assert MrcStack(folder / "fakes" / "fake.mrcs").box == 32
    done = cli(
        "evaluate", "run=run", "part=held_out", "measures=[spectrum]", "baselines=[]", "device=cpu",
        "progress=false", "draws=100",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "RPSD L1" in done.out
    done = cli(
        "evaluate", "fake=fakes/fake.star", "raw=raw.star", "sim=sim/sim.star", "measures=[spectrum]",
        "resample=true", "out=stacks", "progress=false", "draws=100",
    )  # fmt: skip
    assert done.code == 0, done.err


def test_boxes_that_differ_alone_have_the_same_remedy(folder: Path) -> None:
    raw = read_particles(folder / "raw.star")
    raw = raw.take(np.flatnonzero(raw.optics_index < 2))
    with pytest.raises(InputError, match=r"raw1.mrcs disagrees(.|\n)*32 px, as in(.|\n)*data.resample=true"):
        ParticleImages(raw, locate_stacks(raw))
    images = ParticleImages(raw, locate_stacks(raw), resample=True)
    assert {images.image(row).shape for row in (0, 1)} == {(32, 32)}
