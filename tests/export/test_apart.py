"""Exports made apart: a particle has its noise in every order and subset; no two exports share any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.export.fakes import export_fakes
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.simulated import MAPS
from cryoalign.models.baselines import Spectral
from cryoalign.models.unet import UNet
from cryoalign.particles import Optics, Particles
from cryoalign.refine.refiner import Refiner

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoalign.models.generator import Generator

COUNT, BOX = 24, 32


def spectral() -> Spectral:
    generator = Spectral(BOX)
    pairs, defocus = torch.randn(2, 20, 1, BOX, BOX), torch.linspace(8e3, 2e4, 20)
    generator.fit([(*pairs, {"defocus": defocus}, torch.arange(20) // 4)])
    return generator


GENERATORS: dict[str, Callable[[], Generator]] = {
    "closed form": spectral,
    "noise map": lambda: UNet(BOX, 4, noise_channels=1),
    "dropout": lambda: UNet(BOX, 4, dropout=0.5, dropout_at_inference=True),
}


def write_sims(folder: Path, maps: str, particles: Particles | None = None) -> Path:
    """Sims of a map: the same pixels whatever the map, so that fakes differ by their noise alone."""
    folder.mkdir()
    optics = Optics(1, "one", 2.0, 300.0, 2.7, 0.1, box_size=BOX)
    rng = np.random.default_rng(0)
    with StackWriter(folder / "sim.mrcs", COUNT, BOX, 2.0) as writer:
        writer.write(rng.normal(size=(COUNT, BOX, BOX)))
    if particles is None:
        columns = {"angles": rng.uniform(0, 180, (COUNT, 3)), "defocus": np.full((COUNT, 3), 1e4)}
        particles = Particles.make(folder / "raw.star", [optics], COUNT, **columns)
        particles = particles.take(np.arange(COUNT))
        particles.table["rlnImageOriginalName"] = particles.image_name
    named = replace(particles, stack=np.full(len(particles), "sim.mrcs"))
    write_particles(folder / "sim.star", named, notes={MAPS: maps})
    return folder / "sim.star"


def noise(stars: list[Path]) -> np.ndarray:
    """(N, pixels) what two draws of each sim differ by."""
    one, two = (mrcfile.read(star.with_suffix(".mrcs")).reshape(-1, BOX**2) for star in stars)
    return one - two


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of image i of one stack with image i of another, in units of what chance makes of it."""
    cosine = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    within = [np.abs(np.fft.fft2(stack.reshape(-1, BOX, BOX))) ** 2 for stack in (one, other)]
    power = within[0].mean(0) * within[1].mean(0)  # coloured noise has fewer independent values than pixels
    chance = np.sqrt(power.sum() / (within[0].mean(0).sum() * within[1].mean(0).sum()) / len(one))
    return abs(float(cosine)) / chance


@pytest.mark.parametrize("kind", GENERATORS)
def test_stacks_made_apart_share_no_noise(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    refiner = Refiner(GENERATORS[kind](), Normalization(), seed=1, box=BOX, pixel_size=2.0)
    raw = read_particles(write_sims(tmp_path / "a", "a"))

    def made(star: Path, out: str, **options: int) -> np.ndarray:
        return noise(export_fakes(refiner, star, tmp_path / out, draws=2, progress=False, **options))

    given = made(tmp_path / "a/sim.star", "given", seed=5)
    turned = replace(raw, angles=raw.angles + np.array([0, 0, 90.0]))
    apart = {
        "without a seed": made(tmp_path / "a/sim.star", "drawn"),
        "with another seed": made(tmp_path / "a/sim.star", "other", seed=6),
        "of another map": made(write_sims(tmp_path / "b", "b"), "map", seed=5),
        "of other poses": made(write_sims(tmp_path / "c", "a", turned), "poses", seed=5),
        "of other rows": made(
            write_sims(tmp_path / "d", "a", raw.take(np.roll(np.arange(COUNT), 1))), "rows", seed=5
        ),
    }
    assert {name for name, stack in apart.items() if shared(given, stack) > 5} == set()
    assert shared(apart["without a seed"], made(tmp_path / "a/sim.star", "drawn again")) < 5
    assert shared(given[1:], given[:-1]) < 5
    assert shared(given, given) > 50  # what is asked for would be seen

    order = np.random.default_rng(1).permutation(COUNT)[:15]
    some = made(write_sims(tmp_path / "e", "a", raw.take(order)), "some", seed=5, workers=1)
    np.testing.assert_array_equal(some, given[order])


@pytest.fixture
def refiner() -> Refiner:
    torch.manual_seed(3)
    return Refiner(UNet(BOX, 4, noise_channels=1), Normalization(), seed=1, box=BOX, pixel_size=2.0)


def stated(folder: Path) -> tuple[int, str]:
    """The seed of an output, by its provenance and by its STAR file."""
    table = starfile.read(folder / "fake.star", parse_as_string=["cryoalignValue"])["refinement"]
    return json.loads((folder / "provenance.json").read_text())["seed"], dict(table.to_numpy().tolist())[
        "seed"
    ]


def test_the_seed_is_stated_and_makes_the_same_again(refiner: Refiner, tmp_path: Path) -> None:
    star = write_sims(tmp_path / "a", "a")
    export_fakes(refiner, star, tmp_path / "drawn", progress=False)
    seed, told = stated(tmp_path / "drawn")
    assert told == str(seed)
    export_fakes(refiner, star, tmp_path / "again", progress=False, seed=seed)
    assert stated(tmp_path / "again") == (seed, told)
    fakes = [(tmp_path / name / "fake.mrcs").read_bytes() for name in ("drawn", "again")]
    assert fakes[0] == fakes[1]
    with pytest.raises(InputError, match="seed is out of range"):
        export_fakes(refiner, star, tmp_path / "no", progress=False, seed=-1)


def test_an_interrupted_export_goes_on_with_its_seed(
    refiner: Refiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    star, unfinished = write_sims(tmp_path / "a", "a"), tmp_path / ".out.unfinished"
    write, stop_at = StackWriter.write, [0]

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written == stop_at[0]:
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_fakes(refiner, star, tmp_path / "out", progress=False)
    assert not unfinished.exists()  # there is nothing to go on with
    stop_at[0] = refiner.batch_size
    with pytest.raises(KeyboardInterrupt):
        export_fakes(refiner, star, tmp_path / "out", progress=False)
    seed = json.loads((unfinished / "provenance.json").read_text())["seed"]
    monkeypatch.setattr(StackWriter, "write", write)
    export_fakes(refiner, star, tmp_path / "out", progress=False)
    assert f"behind the first {refiner.batch_size} of {COUNT} images" in caplog.text
    assert stated(tmp_path / "out") == (seed, str(seed))
    export_fakes(refiner, star, tmp_path / "whole", progress=False, seed=seed)
    for name in ("fake.mrcs", "fake.star"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
