"""Fakes of known content and noise: every number is what was put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Finding, Quantity
from cryoalign.evaluate.measures.content.measure import ContentMeasure
from cryoalign.evaluate.measures.noise.independence import shared_noise
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from cryoalign.evaluate.reading import Reader
from tests.fakes.known import Known

Judge = Callable[..., dict[str, Quantity]]


@pytest.fixture
def judge(small: Known, small_folder: Path, tmp_path: Path) -> Judge:
    """Judge fakes, and perhaps a second draw, that are given as images."""

    def call(
        fake: torch.Tensor, again: torch.Tensor | None = None, *, truth: bool = True
    ) -> dict[str, Quantity]:
        part = small.particles.take(small.judged)
        common = {"sim": small_folder / "sim.star"} | (
            {"truth": small_folder / "truth.star"} if truth else {}
        )
        files = {"fake": small.write(tmp_path, "fake", fake, part)}
        if again is not None:
            files["second_draw"] = small.write(tmp_path, "second_draw", again, part)
        raw = small.write(tmp_path, "raw", small.raw[small.judged], part)
        case = Case(Reader().pairs(raw, **files, **common))
        findings: list[Finding] = [ContentMeasure()(case), NoiseMeasure()(case)]
        return {key: quantity for finding in findings for key, quantity in finding.quantities.items()}

    return call


def test_content_of_half_strength_is_half(small: Known, judge: Judge) -> None:
    truth, noise = small.truth[small.judged], small.noise(small.count, 11)
    found = judge(0.5 * truth + noise)
    whole = judge(truth + noise)
    assert whole["content_ratio"].fake.value == pytest.approx(1, abs=0.05)
    ratio = found["content_ratio"].fake
    assert ratio.value == pytest.approx(0.5 * whole["content_ratio"].fake.value, abs=0.02)
    assert ratio.low <= ratio.value <= ratio.high < 0.75
    assert found["truth_kept"].fake.value < 0.7
    assert found["truth_correlation"].floor is not None
    assert found["truth_correlation"].floor.value == pytest.approx(
        whole["truth_correlation"].fake.value, abs=0.02
    )


def test_a_filter_leaves_the_coherence_whole(small: Known, judge: Judge) -> None:
    """Though the mean image, of which all sims have some, is taken away."""
    found = judge(2 * small.sims[small.judged] / small.sims.std())
    for band in range(1, 5):
        assert found[f"coherence_{band}"].fake.value == pytest.approx(1, abs=1e-3)


def test_the_scale_of_sim_does_not_matter(
    small: Known, small_folder: Path, judge: Judge, tmp_path: Path
) -> None:
    fake = small.truth[small.judged] + small.noise(small.count, 11)
    before = judge(fake)["content_ratio"].fake.value
    part = small.particles.take(small.judged)
    sim = small.write(tmp_path, "sim", 7 * small.sims[small.judged] - 3, part)
    pairs = Reader().pairs(tmp_path / "raw.star", fake=tmp_path / "fake.star", sim=sim)
    after = ContentMeasure()(Case(pairs)).quantities
    assert after["content_ratio"].fake.value == pytest.approx(before, rel=1e-3)


def test_noise_of_more_power(small: Known, judge: Judge) -> None:
    truth = small.truth[small.judged]
    found = judge(truth + 1.3 * small.noise(small.count, 12))
    base = judge(truth + small.noise(small.count, 12))
    for band in range(1, 5):
        ratio = found[f"noise_power_ratio_{band}"].fake.value / base[f"noise_power_ratio_{band}"].fake.value
        assert ratio == pytest.approx(1.69, rel=0.02)
        signal = found[f"snr_{band}"].fake.value / base[f"snr_{band}"].fake.value
        assert signal == pytest.approx(1 / 1.69, rel=0.35)
    assert found["grey_scale"].fake.value / base["grey_scale"].fake.value == pytest.approx(1.3, rel=0.02)


@pytest.mark.parametrize("along", [(1, 1), (1, -1)])
def test_noise_that_runs_along_a_diagonal(small: Known, judge: Judge, along: tuple[int, int]) -> None:
    """White noise plus itself moved: it correlates by a half with itself there, on either diagonal."""
    white = torch.randn(small.count, small.box, small.box, generator=torch.Generator().manual_seed(7))
    found = judge((white + white.roll(along, (-2, -1))) / 2**0.5)["autocorrelation_difference"].fake
    own = small.noise(small.count, 12)
    ordinary = float((own * own.roll(along, (-2, -1))).mean() / own.square().mean())
    assert found.value > 0.9 * abs(0.5 - ordinary)
    assert found.low > 0.1


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_noise_that_two_draws_share(small: Known, judge: Judge, share: float) -> None:
    truth = small.truth[small.judged]
    common, *own = (small.noise(small.count, stream) for stream in (13, 14, 15))
    draws = [truth + share**0.5 * common + (1 - share) ** 0.5 * part for part in own]
    found = judge(*draws)["repeated_noise"].fake
    assert found.value == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_noise_that_all_particles_share(small: Known, judge: Judge, share: float) -> None:
    common = small.noise(1, 16)
    own = small.noise(small.count, 17)
    found = judge(small.truth[small.judged] + share**0.5 * common + (1 - share) ** 0.5 * own)
    # not exact: what is taken away with sim, and the power of one common image
    assert found["shared_noise"].fake.value == pytest.approx(share, abs=0.08)


def test_blocks_drawn_twice_share_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 50, 8, 8, generator=generator)
    spectra = torch.fft.rfft2(images).sum(1).to(torch.complex128)
    power = float(torch.fft.rfft2(images).abs().square().sum((-2, -1)).mean())
    statistic = shared_noise(spectra, torch.full((16,), 50.0, dtype=torch.float64), power)
    weights = torch.tensor([[1.0] * 16, [3.0, 3.0, 2.0, *[0.0] * 5, *[1.0] * 8]], dtype=torch.float64)
    assert statistic(weights).abs().max() < 0.01


def test_grey_values_of_another_distribution(small: Known, judge: Judge) -> None:
    """Noise of heavy tails and the same power: only its kurtosis tells."""
    truth, noise = (
        0.05 * small.truth[small.judged],
        torch.randn(small.count, small.box, small.box, generator=torch.Generator().manual_seed(5)),
    )
    heavy = noise * torch.where(
        torch.rand(noise.shape, generator=torch.Generator().manual_seed(6)) < 0.1, 2.5, 0.65
    )
    found = judge(truth + heavy)
    standard = heavy.double() / heavy.double().std()
    assert found["grey_kurtosis"].fake.value == pytest.approx(float((standard**4).mean() - 3), rel=0.05)
    assert found["grey_distance"].fake.low > 0.05


def test_without_truth_and_second_draw_that_is_said(small: Known, small_folder: Path) -> None:
    pairs = Reader().pairs(
        small_folder / "raw.star", fake=small_folder / "fake.star", sim=small_folder / "sim.star"
    )
    case = Case(pairs)
    assert "truth=" in ContentMeasure()(case).left_out[0]
    assert "second_draw=" in NoiseMeasure()(case).left_out[0]


def test_pairs_without_relation_cannot_be_judged(small: Known, small_folder: Path, tmp_path: Path) -> None:
    part = small.particles.take(small.judged)
    raw = small.write(tmp_path, "raw", small.noise(small.count, 18), part)
    pairs = Reader().pairs(raw, fake=small_folder / "fake.star", sim=small_folder / "sim.star")
    (answer,) = ContentMeasure()(Case(pairs)).answers.values()
    assert answer.verdict == "undecided"
    assert "audit" in answer.explanation
