"""What is measured of single images: skewness, spread over images, evenness, and the CTF in the noise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import skew

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Interval, Verdict
from cryoalign.evaluate.measures.noise.against_raw import GROUPS_DIFFER, Compared, verdict_of
from cryoalign.evaluate.measures.noise.ctf_slope import judge_ctf_slope
from cryoalign.evaluate.measures.noise.image_table import SMOOTHING, image_table, modulation
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from cryoalign.evaluate.measures.noise.skewness import judge_skewness
from cryoalign.evaluate.measures.noise.spread import judge_spread
from cryoalign.evaluate.measures.noise.texture import GAUSSIAN, judge_rings
from cryoalign.evaluate.reading import Reader
from cryoalign.io.metadata import read_particles
from cryoalign.models.baselines import Spectral
from cryoalign.models.generator import Metadata
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.mask import background
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles
from tests.fakes.in_memory import Images, blobs, noise, pairs
from tests.fakes.measured import Measured, log_normal

BOX = 32


def case_of(fake: torch.Tensor, raw: torch.Tensor, groups: int = 20) -> Case:
    """Noise alone, but for a trace of sim that relates the two."""
    count, sims = len(raw), 0.1 * blobs(len(raw), BOX, 0)
    of = np.arange(count) * groups // count
    return Case(pairs(of, raw=raw + sims, sim=sims, fake=fake + sims), draws=200)


def white(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, BOX, BOX, generator=torch.Generator().manual_seed(seed))


def test_skewness_is_that_of_each_background() -> None:
    raw, fake = log_normal(white(200, 1), -0.1), white(200, 2)
    case = case_of(fake, -raw)
    table = image_table(case, 1000)
    outside = background(BOX, case.pairs.normalization["raw"].radius)
    images = case.pairs.images("raw", np.arange(200)).numpy()
    np.testing.assert_allclose(table.of["raw"].skewness, skew(images[:, outside], axis=1), atol=1e-5)
    quantities, answer = judge_skewness(case, table)
    drawn = float(skew(images.reshape(-1)))
    assert quantities[0].floor is not None
    assert quantities[0].floor.value == pytest.approx(drawn, abs=0.04)
    assert quantities[1].fake.value == pytest.approx(-drawn, abs=0.05)
    assert answer.verdict == "fail"
    assert quantities[1].floor is not None
    assert quantities[1].floor.low < 0 < quantities[1].floor.high  # raw against raw
    honest = case_of(-log_normal(white(200, 3), -0.1), -raw)
    assert judge_skewness(honest, image_table(honest, 1000))[1].verdict == "pass"


def test_power_of_images_and_of_micrographs() -> None:
    """Each image's power is multiplied by exp of a sum of two normal numbers, of 0.3 and of 0.2."""
    generator, count, groups = torch.Generator().manual_seed(4), 1200, 60
    level = 0.3 * torch.randn(groups, generator=generator).repeat_interleave(count // groups)
    level = level + 0.2 * torch.randn(count, generator=generator)
    case = case_of(white(count, 5), white(count, 6) * (level / 2).exp()[:, None, None], groups)
    quantities, answer, left_out = judge_spread(case, image_table(case, 2000))
    assert not left_out
    assert answer.verdict == "fail"
    for quantity in quantities[:-1]:
        truth = 0.3 if "micrograph" in quantity.key else 0.2
        assert quantity.floor is not None
        assert quantity.floor.value == pytest.approx(truth, abs=0.09), quantity.key
        assert quantity.floor.low < truth < quantity.floor.high
        assert quantity.fake.low < 0.05


@pytest.mark.parametrize(("groups", "reason"), [(5, "fewer than eight"), (400, "of one micrograph")])
def test_micrographs_that_cannot_be_told_from_images(groups: int, reason: str) -> None:
    case = case_of(noise(400, BOX, 7), noise(400, BOX, 8), groups)
    quantities, answer, left_out = judge_spread(case, image_table(case, 1000))
    assert reason in left_out[0]
    assert not any("micrograph" in quantity.key for quantity in quantities)
    assert answer.verdict == "pass"


def smoothed_variance(images: torch.Tensor) -> torch.Tensor:
    """Relative variance of the smoothed squares, computed in real space's own terms."""
    kernel = torch.exp(-2 * (math.pi * SMOOTHING * half_plane(BOX).radius).square())
    local = torch.fft.irfft2(torch.fft.rfft2(images.square()) * kernel, s=images.shape[-2:])
    return local.var((-2, -1), correction=0) / local.mean((-2, -1)).square()


def test_modulation_beyond_copies_with_random_phases() -> None:
    axis = 2 * math.pi * torch.arange(BOX) / BOX
    images = noise(1, BOX, 9).double() * (1 + 0.3 * axis.sin())
    spectrum = torch.fft.rfft2(images)
    phases = torch.fft.rfft2(white(4000, 10).double())
    copies = torch.fft.irfft2(spectrum.abs() * phases / phases.abs(), s=(BOX, BOX))
    expected = smoothed_variance(images)[0] - smoothed_variance(copies).mean()
    found = modulation((spectrum / BOX).to(torch.complex64))
    assert float(found[0]) == pytest.approx(float(expected), abs=0.003)


def test_modulation_is_the_square_of_its_depth() -> None:
    axis = 2 * math.pi * torch.arange(BOX) / BOX
    even = white(500, 11)
    depth = 0.4 / 2**0.5 * math.exp(-2 * (math.pi * SMOOTHING) ** 2)  # of sin, smoothed
    found = modulation(torch.fft.rfft2(even * (1 + 0.4 * axis.sin()).sqrt()) / BOX)
    assert float(found.mean()) == pytest.approx(depth**2, rel=0.1)
    assert float(modulation(torch.fft.rfft2(even) / BOX).mean()) == pytest.approx(0, abs=0.003)


def test_scatter_within_rings_of_gaussian_noise_and_of_directions() -> None:
    stretched = half_plane(BOX).radius.new_ones(BOX, BOX // 2 + 1)
    stretched[:, : BOX // 4] = 3  # along x there is less power
    rough = torch.fft.irfft2(torch.fft.rfft2(white(300, 12)) * stretched, s=(BOX, BOX))
    case = case_of(rough, white(300, 13))
    quantities, answer = judge_rings(case, image_table(case, 1000))
    assert answer.verdict == "fail"
    for quantity in quantities[:-1]:
        assert quantity.floor is not None
        assert quantity.floor.value == pytest.approx(GAUSSIAN, abs=0.03)
    assert quantities[3].fake.value > GAUSSIAN + 0.2


def test_slope_of_the_power_over_the_ctf() -> None:
    known = Measured(box=BOX, count=240, micrographs=24)
    squared = known.ctf_squared[known.judged].double()
    plain = {"skewed": False, "varied": False, "periodic": True}
    raw, fake = (known.noise(240, stream, through_lens=stream == 1, **plain) for stream in (1, 2))
    sims = 0.1 * known.sims[known.judged] / known.sims.std()
    made = pairs(np.arange(240) // 10, raw=raw + sims, sim=sims, fake=fake + sims)
    made.particles.defocus[:] = known.particles.defocus[known.judged]
    object.__setattr__(made.stacks["raw"], "pixel_size", known.pixel_size)
    optics = known.particles.optics
    object.__setattr__(made.particles, "optics", optics)
    case = Case(made, draws=200)
    quantities, answer = judge_ctf_slope(case, image_table(case, 1000))
    rings = half_plane(BOX)
    above = below = 0.0
    for ring in range(3, BOX // 2 + 1):
        values = squared[:, rings.ring == ring]
        weight = rings.weight[rings.ring == ring].expand_as(values)
        mean = (values * weight).sum() / weight.sum()
        spread = float(((values - mean).square() * weight).sum())
        above, below = above + spread / float(0.6 + mean), below + spread
    assert quantities[0].floor is not None
    assert quantities[0].floor.value == pytest.approx(above / below, abs=0.05)
    assert quantities[0].fake.value == pytest.approx(0, abs=0.05)
    assert answer.verdict == "fail"


def test_raw_that_differs_from_raw_decides_nothing() -> None:
    case = case_of(white(40, 14), white(40, 15), 10)
    far, near = Interval(0.5, 0.4, 0.6), Interval(0.0, -0.1, 0.1)
    assert verdict_of(case, Compared(far, near, far, near), 0.2) == (Verdict.FAIL, "")
    assert verdict_of(case, Compared(far, near, far, far), 0.2) == (Verdict.UNDECIDED, GROUPS_DIFFER)


def test_fakes_without_noise_are_not_judged_by_it() -> None:
    count = 60
    sims = blobs(count, BOX, 0)
    case = Case(pairs(np.arange(count) // 5, raw=sims + white(count, 16), sim=sims, fake=2 * sims), draws=50)
    answers = NoiseMeasure()(case).answers
    for key in ("skewness", "power_spread", "modulation", "in_ring", "noise_ctf", "edges"):
        assert answers[key].verdict == "undecided"
        assert "no noise" in answers[key].explanation


def test_only_so_many_images_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(white(100, 17), white(100, 18), 20)
    assert case.sums.count.sum() == 100
    read = []
    image = case.pairs.image
    monkeypatch.setattr(
        type(case.pairs), "image", lambda _, kind, row: read.append((kind, row)) or image(kind, row)
    )
    table = image_table(case, 40)
    assert len(read) == 3 * 40
    assert np.bincount(table.groups).tolist() == [2] * 20
    assert all(len(values) == 40 for values in table.of["fake"][:4])


def test_every_question_shows_a_quantity() -> None:
    case = case_of(noise(60, BOX, 19), noise(60, BOX, 20), 12)
    finding: Finding = NoiseMeasure(images=60)(case)
    for answer in finding.answers.values():
        assert answer.quantity in finding.quantities


@pytest.mark.realdata
@pytest.mark.slow
def test_real_noise_at_full_pixel_size_is_not_gaussian(shared_data: Path, tmp_path: Path) -> None:
    """A closed form with Gaussian noise of raw's spectrum fails; raw of other images in its place passes."""
    folder = shared_data / "krios_bgal_native"
    particles = read_particles(folder / "particles.star")
    rows = np.arange(0, len(particles), 5)
    specimen = DensityMap(shared_data / "krios_bgal" / "reference.mrc")
    simulate_particles(particles.take(rows), specimen, tmp_path / "sim", progress=False)
    sim = tmp_path / "sim" / "sim.star"
    made = Reader().pairs(folder / "particles.star", sim=sim, fake=sim)
    rows = np.arange(len(made))
    sims, raws = (made.images(kind, rows)[:, None] for kind in ("sim", "raw"))
    metadata: Metadata = {"defocus": torch.from_numpy(made.defocus).float()}
    spectral = Spectral(made.box)
    spectral.fit([(sims, raws, metadata, torch.from_numpy(made.groups))])
    fakes = spectral(sims, torch.randn(sims.shape, generator=torch.Generator().manual_seed(21)), metadata)
    for images, verdict in ((fakes[:, 0], "fail"), (made.images("other1", rows), "pass")):
        case = Case(replace(made, stacks={**made.stacks, "fake": Images(images)}), draws=200)
        _, answer = judge_skewness(case, image_table(case, 1000))
        assert answer.verdict == verdict, answer.explanation
