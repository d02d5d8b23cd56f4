"""RPSD beside its floor, the plane and its peaks; the sums against sums over images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.embedded.cache import find_or_make
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Interval
from cryoalign.evaluate.measures.spectrum.measure import SpectrumMeasure
from cryoalign.evaluate.measures.spectrum.plane import peaks
from cryoalign.evaluate.reading import Reader
from cryoalign.evaluate.sums import gather
from cryoalign.io.relion import read_particles
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles
from tests.fakes.known import Known


def stack(folder: Path, name: str) -> torch.Tensor:
    return torch.from_numpy(mrcfile.read(folder / f"{name}.mrcs").copy())


def test_sums_are_those_over_the_images(honest: Case, small_folder: Path) -> None:
    """By unit and bin, from the files themselves; the batch size does not matter."""
    pairs = honest.pairs
    sums = gather(pairs, size=7)
    fake, raw = stack(small_folder, "fake"), stack(small_folder, "raw")
    distance = rpsd_distance(radial_log_power(fake), radial_log_power(raw)).double()
    power = torch.fft.fft2(fake.double()).abs().square() / pairs.box**2
    for unit in range(pairs.unit_count):
        for place in range(pairs.bin_count):
            chosen = torch.from_numpy((pairs.units == unit) & (pairs.bins == place))
            assert sums.count[unit, place] == chosen.sum()
            assert float(sums.distance["fake", 1][unit, place]) == pytest.approx(
                float(distance[chosen].sum()), rel=1e-4
            )
    assert float(sums.power["fake"][..., 0].sum()) == pytest.approx(float(power[:, 0, 0].sum()), rel=1e-4)
    half = pairs.box // 2 + 1
    torch.testing.assert_close(sums.plane["fake"].sum(0), power.sum(0)[:, :half], rtol=1e-3, atol=1e-6)
    again = gather(pairs, size=64)
    torch.testing.assert_close(again.plane["fake.sim"], sums.plane["fake.sim"], rtol=1e-5, atol=1e-3)
    low, high = -10.0, 10.0
    expected = np.histogram(raw.numpy().clip(low + 1e-6, high - 1e-6), bins=800, range=(low, high))[0]
    assert np.abs(sums.grey["raw"].sum(0).numpy() - expected).sum() < 20  # rounding at the edges of bins


def test_the_floor_of_the_floor_is_one(honest: Case) -> None:
    found = SpectrumMeasure()(honest).quantities
    floor = found["rpsd_l1_excess"].floor
    assert floor is not None
    assert floor.low <= 1 <= floor.high
    assert abs(found["mean_rpsd_l1_excess"].fake.value - 1) < 0.3
    assert abs(found["plane_distance_excess"].fake.value - 1) < 0.1


def test_a_tenth_more_power_is_a_tenth_on_the_plane(small: Known, small_folder: Path) -> None:
    """Fakes that are raw times a factor: every distance is known."""
    raw, part = stack(small_folder, "raw"), small.particles.take(small.judged)
    path = small.write(small_folder, "louder", 1.2 * raw, part)
    pairs = Reader().pairs(small_folder / "raw.star", fake=path, sim=small_folder / "sim.star")
    found = SpectrumMeasure()(Case(pairs)).quantities
    curves = radial_log_power(1.2 * raw), radial_log_power(raw)
    expected = float(rpsd_distance(*curves).mean())
    assert found["rpsd_l1"].fake.value == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(2 * np.log(1.2), rel=0.05)
    sums = gather(pairs)
    ratio = sums.plane["fake"].sum(0) / sums.plane["raw"].sum(0)
    torch.testing.assert_close(ratio[1:], torch.full_like(ratio[1:], 1.44), rtol=1e-3, atol=0)


@pytest.mark.parametrize("period", [(2, 2), (2, 0), (0, 4), (8, 8)])
def test_a_grid_is_found_where_it_is(period: tuple[int, int]) -> None:
    """Also in the corner of the plane, where no ring is; noise alone has no peak."""
    generator = torch.Generator().manual_seed(0)
    images, box = 300, 32
    noise = torch.randn(2, images, box, box, generator=generator)
    axis = torch.arange(box) * 2 * np.pi
    pattern = torch.ones(box, box)
    if period[0]:
        pattern = pattern * torch.cos(axis / period[0])[None]
    if period[1]:
        pattern = pattern * torch.cos(axis / period[1])[:, None]
    power = [torch.fft.rfft2(part).abs().square().sum(0).double() for part in (noise[0], noise[1])]
    away, scatter = peaks(power[0], power[1], images)
    assert float((away / scatter).max()) < 6
    grid = torch.fft.rfft2(noise[0] + 0.15 * pattern).abs().square().sum(0).double()
    away, scatter = peaks(grid, power[1], images)
    place = divmod(int((away / scatter).argmax()), box // 2 + 1)
    column, row = (box // part if part else 0 for part in period)
    assert place in {(row, column), (box - row, column)}
    assert float((away / scatter).max()) > 6


def test_frequencies_that_are_their_own_negatives_scatter_more() -> None:
    """The transform is real there: of white noise, all are 1 in units of their scatter."""
    box, images, tries = 8, 50, 400
    noise = torch.randn(tries, 2, images, box, box, generator=torch.Generator().manual_seed(1))
    power = torch.fft.rfft2(noise).abs().square().sum(2).double()
    spread = torch.stack([torch.cat([a / s for a, s in [peaks(*pair, images)]]) for pair in power]).std(0)
    corner, beside = float(spread[box // 2, box // 2]), float(spread[box // 2, box // 2 - 1])
    assert corner == pytest.approx(1, abs=0.15)
    assert beside == pytest.approx(1, abs=0.15)


def floor_of(raw: Path, sim: Path, **options: Any) -> Interval:
    pairs = Reader(**options).pairs(raw, sim=sim, fake=sim)
    found = SpectrumMeasure()(Case(pairs)).quantities
    floor = found["rpsd_l1_excess"].floor
    assert floor is not None
    assert floor.high - floor.low < 0.2
    return floor


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "options"), [("krios_bgal", {"box": 64}), ("ribosome_10499", {"pattern": "^(.*)_tilt"})]
)
def test_real_raw_against_other_raw_has_an_excess_of_one(
    shared_data: Path, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    star = shared_data / name / "particles.star"
    specimen = DensityMap(shared_data / name / "reference.mrc")
    simulate_particles(read_particles(star), specimen, tmp_path / "sim", progress=False)
    floor = floor_of(star, tmp_path / "sim" / "sim.star", **options)
    assert floor.low <= 1 <= floor.high


def test_embedded_raw_against_other_raw_has_an_excess_of_one(cache: Path) -> None:
    made = find_or_make(cache, box=32, particles=160, micrographs=16)
    floor = floor_of(made.raw, made.sim)
    assert floor.low <= 1 <= floor.high
