"""Noise that continues across opposite edges: correlations, the verdict, and what the classifier sees."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Answer, Quantity
from cryoalign.evaluate.measures.edges import edge_correlations
from cryoalign.evaluate.measures.noise.edges import NOTHING_TO_SEE, TOO_FEW, continuing_share, judge_edges
from cryoalign.evaluate.measures.noise.image_table import image_table
from cryoalign.evaluate.measures.two_sample.measure import TwoSampleMeasure
from cryoalign.physics.fourier import irfft2, rfft2
from cryoalign.physics.half_plane import half_plane
from tests.fakes.in_memory import blobs, noise, pairs

BOX, COUNT = 32, 240
GROUP = np.arange(COUNT) // 10


def open_noise(count: int, seed: int) -> torch.Tensor:
    """Cut from noise of a box twice as large, as from a micrograph."""
    return noise(count, 2 * BOX, seed)[:, :BOX, :BOX]


def white(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, BOX, BOX, generator=torch.Generator().manual_seed(seed))


def without_ramps(images: torch.Tensor) -> torch.Tensor:
    """Take mean and linear ramps off each image, and bring it to standard deviation 1."""
    axis = torch.arange(BOX) - (BOX - 1) / 2
    for ramp in (torch.ones(BOX, BOX), axis.expand(BOX, BOX), axis[:, None].expand(BOX, BOX)):
        slope = (images * ramp).sum((1, 2)) / ramp.square().sum()
        images = images - slope[:, None, None] * ramp
    return images / images.std((1, 2), keepdim=True)


def judged(fake: torch.Tensor, raw: torch.Tensor) -> tuple[list[Quantity], Answer]:
    """Noise alone, but for a trace of sim that relates the two."""
    sims = 0.1 * blobs(len(raw), BOX, 0)
    made = pairs(GROUP[: len(raw)], raw=raw + sims, sim=sims, fake=fake + sims)
    case = Case(made, draws=300)
    return judge_edges(case, image_table(case, 1000))


def covariance() -> torch.Tensor:
    """(N, N) of `noise` in a large box, at lags from 0 on: the Fourier transform of its power."""
    box = 4 * BOX
    radius = half_plane(box).radius / box
    lags = torch.fft.irfft2(1 / (1 + (radius / 0.15).square()))
    return (lags / lags[0, 0]).double()


def test_correlations_are_those_of_the_noise_inside_and_across_the_edges() -> None:
    expected = covariance()[1:5, [2, 1, 0, 1, 2]]
    for made, continues in ((noise(1000, BOX, 1), 1), (open_noise(1000, 2), 0)):
        found = [values.mean(0) for values in edge_correlations(made)]
        assert found[0].shape == (4, 5)
        for values, wanted in zip(found, (continues, 1, 1), strict=True):
            torch.testing.assert_close(values, wanted * expected, atol=0.015, rtol=0)


def test_offsets_of_images_do_not_matter() -> None:
    made = open_noise(10, 3)
    offsets = torch.linspace(-3, 3, 10)[:, None, None]
    for one, other in zip(edge_correlations(made), edge_correlations(made + offsets), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("treat", [lambda images: images, without_ramps], ids=["as it is", "normalized"])
def test_share_is_0_of_open_noise_and_1_of_periodic_noise(treat) -> None:
    images = {"open": treat(open_noise(COUNT, 4)), "periodic": treat(noise(COUNT, BOX, 5))}
    for raw, measured in images.items():
        for fake, made in images.items():
            quantities, answer = judged(made, measured.flip(0))
            assert answer.verdict == ("pass" if fake == raw else "fail"), answer.explanation
            assert quantities[0].floor is not None
            for interval, kind in ((quantities[0].fake, fake), (quantities[0].floor, raw)):
                assert interval.value == pytest.approx(float(kind == "periodic"), abs=0.1)


def test_noise_of_alternating_sign_is_seen_as_well() -> None:
    """Power near Nyquist: neighbours anticorrelate, and their mean over the lags is nothing."""
    height = half_plane(BOX).radius / (BOX / 2)
    rough = irfft2(rfft2(white(COUNT, 7)) * (height > 0.7), BOX)
    around = half_plane(2 * BOX).radius / BOX
    larger = torch.randn(COUNT, 2 * BOX, 2 * BOX, generator=torch.Generator().manual_seed(8))
    cut = irfft2(rfft2(larger) * (around > 0.7), 2 * BOX)[:, :BOX, :BOX]
    quantities, answer = judged(rough, cut)
    assert answer.verdict == "fail"
    assert quantities[1].fake.value == pytest.approx(1, abs=0.15)


def test_white_raw_and_few_images_decide_nothing() -> None:
    _, answer = judged(noise(COUNT, BOX, 9), white(COUNT, 10))
    assert (answer.verdict, NOTHING_TO_SEE in answer.explanation) == ("undecided", True)
    _, answer = judged(*(white(60, seed) + 0.6 * open_noise(60, seed + 1) for seed in (11, 13)))
    assert (answer.verdict, TOO_FEW in answer.explanation) == ("undecided", True)


def test_classifier_on_spectra_sees_the_edges() -> None:
    sims = 0.1 * blobs(COUNT, BOX, 0)
    raw = open_noise(COUNT, 15) + sims
    aucs = {}
    for name, fake in (("open", open_noise(COUNT, 16)), ("periodic", noise(COUNT, BOX, 17))):
        made = pairs(GROUP, raw=raw, sim=sims, fake=fake + sims)
        finding = TwoSampleMeasure(classifiers="spectrum")(Case(made, draws=300))
        aucs[name] = finding.quantities["auc_spectrum"].fake
    assert aucs["open"].low < 0.5 < aucs["open"].high
    assert aucs["periodic"].low > 0.8


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "share"), [("krios_bgal", 0), ("ribosome_10499", 1)])
def test_real_boxes_end_where_they_were_cut_and_continue_where_the_ctf_was_applied(
    shared_data: Path, name: str, share: float
) -> None:
    """Whole images: their particles do not reach the edges."""
    with mrcfile.mmap(shared_data / name / "particles.mrcs", permissive=True) as file:
        images = torch.from_numpy(np.array(file.data, dtype=np.float32))
    edges = [values.sum(0, keepdim=True) for values in edge_correlations(images)]
    assert float(continuing_share(*edges)) == pytest.approx(share, abs=0.15)
