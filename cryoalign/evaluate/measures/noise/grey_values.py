"""Grey values: their scale, moments and quantiles, fake beside raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Chart, Interval, Quantity, Series, decide, together, within
from cryoalign.evaluate.sums import GREY_BINS, GREY_RANGE

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case

#: Standard deviation of fake's background over raw's.
SCALE = (0.95, 1.05)
#: Mean of fake's background, distance of the distributions (both in standard deviations of raw's background),
#: and differences of skewness and excess kurtosis.
MOST_OFFSET, MOST_DISTANCE, MOST_SKEWNESS, MOST_KURTOSIS = 0.1, 0.05, 0.1, 0.5


def judge_grey(case: Case) -> tuple[list[Quantity], Answer, Chart]:
    """Compare the distributions of grey values.

    Parameters
    ----------
    case : Case

    Returns
    -------
    list of Quantity
    Answer
    Chart
    """
    background, of = case.sums.background, case.resampling.of
    fakes, raws = background["fake"], background["raw"]
    scale = of(
        lambda fake, fakes, raw, raws: fake / fakes / (raw / raws),
        *(fakes.deviation, fakes.images, raws.deviation, raws.images),
    )
    offset = of(
        lambda fake, fakes, raw, raws: fake / fakes - raw / raws,
        *(fakes.mean, fakes.images, raws.mean, raws.images),
    )
    quantities = [
        Quantity("grey_scale", "spread of fake's background over raw's", scale, target=1.0),
        Quantity("grey_offset", "mean of fake's background less raw's", offset, unit="sd", target=0.0),
        _distance(case),
        *_moments(case),
    ]
    skewness, kurtosis = (_difference(case, power) for power in (3, 4))
    verdicts = [
        within(scale, SCALE),
        within(offset, (-MOST_OFFSET, MOST_OFFSET)),
        decide(quantities[2].fake, MOST_DISTANCE),
        within(skewness, (-MOST_SKEWNESS, MOST_SKEWNESS)),
        within(kurtosis, (-MOST_KURTOSIS, MOST_KURTOSIS)),
    ]
    deciding = ("grey_scale", "grey_offset", "grey_distance", "grey_skewness", "grey_kurtosis")
    shown = deciding[verdicts.index(together(*verdicts))]
    text = (
        f"Fake's background spreads {fixed(scale.value, 3)} times as wide as raw's; the distributions "
        f"are {fixed(quantities[2].fake.value, 3)} standard deviations apart; skewness differs by "
        f"{fixed(skewness.value, 2)}, excess kurtosis by {fixed(kurtosis.value, 2)}."
    )
    answer = Answer("grey", "Are the grey values those of the measurement?", together(*verdicts), text, shown)
    return quantities, answer, _chart(case)


def _centres() -> Tensor:
    low, high = GREY_RANGE
    width = (high - low) / GREY_BINS
    return low + width * (torch.arange(GREY_BINS, dtype=torch.float64) + 0.5)


def _moment(counts: Tensor, power: int) -> Tensor:
    """Mean (1), standard deviation (2), skewness (3) or excess kurtosis (4) of (b, GREY_BINS) histograms."""
    values = _centres()
    share = counts / counts.sum(-1, keepdim=True)
    mean = share @ values
    if power == 1:
        return mean
    away = values - mean[:, None]
    deviation = (share * away.square()).sum(-1).sqrt()
    if power == 2:
        return deviation
    standard = (share * away**power).sum(-1) / deviation**power
    return standard - 3 if power == 4 else standard


def _moments(case: Case) -> list[Quantity]:
    names = {1: ("mean", "mean"), 2: ("deviation", "standard deviation"), 3: ("skewness", "skewness")}
    names[4] = ("kurtosis", "excess kurtosis")
    found = []
    for power, (key, label) in names.items():
        fake, raw = (
            case.resampling.of(lambda counts, power=power: _moment(counts, power), case.sums.grey[kind])
            for kind in ("fake", "raw")
        )
        found.append(Quantity(f"grey_{key}", f"{label} of the grey values", fake, raw))
    return found


def _difference(case: Case, power: int) -> Interval:
    return case.resampling.of(
        lambda f, r: _moment(f, power) - _moment(r, power), case.sums.grey["fake"], case.sums.grey["raw"]
    )


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Wasserstein distance of histograms: the mean difference of their quantiles."""
    width = (GREY_RANGE[1] - GREY_RANGE[0]) / GREY_BINS
    shares = [(counts / counts.sum(-1, keepdim=True)).cumsum(-1) for counts in (a, b)]
    return (shares[0] - shares[1]).abs().sum(-1) * width


def _distance(case: Case) -> Quantity:
    """How far apart the quantiles of the grey values are on average; floor: halves of raw."""
    grey = case.sums.grey
    value = case.resampling.of(_apart, grey["fake"], grey["raw"])
    halves = [grey["raw"][start::2].sum(0, keepdim=True) for start in (0, 1)]
    floor = float(_apart(*halves)[0]) if len(grey["raw"]) > 1 else float("nan")
    return Quantity(
        "grey_distance", "distance of the distributions (mean over quantiles)", value,
        Interval(floor, floor, floor), unit="sd", target=0.0, note="floor: halves of raw",
    )  # fmt: skip


def _chart(case: Case) -> Chart:
    low, high = GREY_RANGE
    width = (high - low) / GREY_BINS
    step = 8  # histogram bins drawn as one
    grey = {kind: case.sums.grey[kind].sum(0).view(-1, step).sum(1) for kind in ("raw", "fake")}
    inside = (grey["raw"] + grey["fake"]).nonzero()[:, 0]
    used = slice(int(inside.min()), int(inside.max()) + 1)
    centres = tuple(_centres().view(-1, step).mean(1)[used].tolist())
    series = {
        kind: Series(centres, tuple((counts / counts.sum() / (width * step))[used].tolist()))
        for kind, counts in grey.items()
    }
    return Chart(
        "grey", "Distribution of the grey values", "grey value (standard deviations of raw's background)",
        "density", series,
    )  # fmt: skip
