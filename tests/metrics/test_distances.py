"""The distances are exact over uneven batches and parts, and equal to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from cryoalign.losses.rpsd import RPSDLoss
from cryoalign.metrics.pixel import PixelDistance
from cryoalign.metrics.ring_correlation import RingCorrelation
from cryoalign.metrics.rpsd import RPSDDistance
from cryoalign.physics import spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchmetrics import Metric

BOX = 31
METRICS = [RPSDDistance, PixelDistance, lambda: RingCorrelation(BOX)]


def images() -> tuple[torch.Tensor, torch.Tensor]:
    scale = torch.linspace(0.1, 3, 7)[:, None, None, None]  # so that a mean of batch means is another number
    fake, raw = torch.randn(2, 7, 1, BOX, BOX, generator=torch.Generator().manual_seed(0))
    return fake * scale, raw + 0.3 * fake


def values(metric: Metric) -> list[torch.Tensor]:
    found = metric.compute()
    return list(found.values()) if isinstance(found, dict) else [found]


@pytest.mark.parametrize("build", METRICS)
def test_uneven_batches_and_merged_parts_make_the_whole(build: Callable[[], Metric]) -> None:
    fake, raw = images()
    whole, batches, half, other_half = build(), build(), build(), build()
    whole.update(fake, raw)
    for part in (slice(0, 3), slice(3, 6), slice(6, 7)):
        batches.update(fake[part], raw[part])
    half.update(fake[:5], raw[:5])
    other_half.update(fake[5:], raw[5:])
    half.merge_state(other_half)
    for metric in (batches, half):
        for found, expected in zip(values(metric), values(whole), strict=True):
            assert found.dtype == torch.float64
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_rpsd_is_the_loss() -> None:
    fake, raw = images()
    metric = RPSDDistance()
    for n in range(7):
        metric.update(fake[n : n + 1], raw[n : n + 1])
    found = metric.compute()
    assert found["RPSD_L1"].item() == pytest.approx(RPSDLoss(power=1)(fake, raw).item(), abs=1e-6)
    assert found["RPSD_MSE"].item() == pytest.approx(RPSDLoss(power=2)(fake, raw).item(), abs=1e-6)


def test_pixel_distance_against_numpy() -> None:
    fake, raw = images()
    metric = PixelDistance()
    metric.update(fake, raw)
    difference = fake.double().numpy() - raw.double().numpy()
    assert metric.compute()["pixel_L1"].item() == pytest.approx(abs(difference).mean(), rel=1e-12)
    assert metric.compute()["pixel_MSE"].item() == pytest.approx((difference**2).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="against"):
        metric.update(fake, raw[:1])


def test_ring_correlation_is_the_ratio_of_sums() -> None:
    fake, raw = images()
    metric = RingCorrelation(BOX)
    metric.update(fake, raw)
    cross, power_a, power_b = (
        part.double().sum((0, 1)) for part in spectrum.ring_correlation_sums(fake, raw)
    )
    torch.testing.assert_close(metric.compute(), cross / (power_a * power_b).sqrt())
    mean_of_cosines = spectrum.ring_correlation(fake, raw).mean((0, 1)).double()
    assert (metric.compute() - mean_of_cosines).abs().max() > 0.01


@pytest.mark.parametrize("build", METRICS)
def test_sums_stay_float64_in_a_half_precision_module(build: Callable[[], Metric]) -> None:
    fake, raw = images()
    plain, halved = build(), build().to(torch.bfloat16)
    torch.nn.ModuleList([halved]).half()
    for metric in (plain, halved):
        metric.update(fake, raw)
    for found, expected in zip(values(halved), values(plain), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
