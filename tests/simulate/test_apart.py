"""Simulations made apart: the noise of a particle is its own, whatever stack it is in; no two share any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.particles import Optics, Particles
from cryoalign.population.population import Population
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.solvent import IceNoise
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, BOX, PIXEL_SIZE = 40, 16, 2.0
OPTICS = Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1, box_size=BOX)
NOISE = {"solvent": IceNoise(), "detector": Counting(gradient=0.02)}


def measured() -> Particles:
    angles = np.random.default_rng(0).uniform(0, 180, (COUNT, 3))
    defocus = np.tile([12000.0, 11800.0, 20.0], (COUNT, 1))
    return Particles.make(Path("raw.star"), [OPTICS], COUNT, angles=angles, defocus=defocus)


@pytest.fixture
def noise(tmp_path: Path) -> Callable[..., np.ndarray]:
    """Simulate, and return the images; the map is so faint that nothing but noise is in them."""
    values = np.random.default_rng(1).uniform(size=(2, BOX, BOX, BOX)).astype(np.float32)
    for name, density in zip("ab", values, strict=True):
        mrcfile.write(tmp_path / f"{name}.mrc", density, voxel_size=PIXEL_SIZE)

    def images(particles: Particles, volume: str = "a", **options: object) -> np.ndarray:
        specimen = DensityMap(tmp_path / f"{volume}.mrc", volts=1e-6)
        star = simulate_particles(
            particles, specimen, tmp_path / "sim", overwrite=True, progress=False, **NOISE, **options
        )
        return mrcfile.read(star.with_suffix(".mrcs")).reshape(len(particles), -1)

    return images


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of image i of one stack with image i of another, in units of what chance makes of it."""
    one, other = (stack - stack.mean(axis=1, keepdims=True) for stack in (one, other))
    cosine = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    return abs(float(cosine)) * np.sqrt(one.size)


def test_noise_goes_with_the_particle_and_not_with_its_row(noise: Callable[..., np.ndarray]) -> None:
    rows = measured()
    whole = noise(rows)
    order = np.random.default_rng(2).permutation(COUNT)[:25]
    for some in (rows.take(order), replace(rows.take(order), row=np.arange(1, 26))):  # of a file of its own
        again = noise(some, batch_size=7)
        assert np.isclose(again, whole[order], atol=1e-2).mean() > 0.99  # but for a rounded electron


def test_stacks_made_apart_share_none(noise: Callable[..., np.ndarray]) -> None:
    rows = measured()
    whole = noise(rows)
    turned = replace(rows, angles=rows.angles + np.array([0, 0, 72.0]))  # as in a symmetry expansion
    apart = {
        "of another map": noise(rows, "b"),
        "of another seed": noise(rows, seed=1),
        "of other poses": noise(turned),
        "of other rows": noise(rows.take(np.roll(np.arange(COUNT), 1))),
        "of a repeated row": noise(replace(rows.take([0] * COUNT), row=np.arange(COUNT))),
    }
    assert {name for name, stack in apart.items() if shared(whole, stack) > 5} == set()
    repeated = apart["of a repeated row"]
    assert shared(repeated[1:], repeated[:-1]) < 5
    assert shared(whole, whole) > 50  # what is asked for would be seen


def test_a_map_that_is_written_anew_gives_the_same_images(
    noise: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    """Its voxels count; the time in its label does not, which another run of the same program leaves."""
    rows = replace(measured(), source=tmp_path / "raw.star")
    rows.source.write_text("what is in it counts, and its name")
    for particles in (rows, Population(rows, COUNT)):
        before = noise(particles, parameters={"seed": 0})
        from_python = noise(particles)
        with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
            file.add_label("sharpened again")
        np.testing.assert_array_equal(noise(particles, parameters={"seed": 0}), before)
        np.testing.assert_array_equal(noise(particles), from_python)
