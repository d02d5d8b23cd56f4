"""Do images differ among each other as raw ones do? Power in bands, beyond the scatter of Gaussian noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Interval, Quantity, Verdict, together
from cryoalign.evaluate.measures.noise.against_raw import by_unit, compare, verdict_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.noise.image_table import ImageTable

#: Largest ratio, either way, of the standard deviations over images and over micrographs, the scatter of one
#: image included: less could hardly be seen in one image. There are fewer micrographs than images.
MOST_RATIO = {"image": 1.25, "micrograph": 1.5}

_FAINT = 1e-12  # of the mean power: an image of nothing
_FEWEST_ALIKE = 0.25  # of the images are second or later ones of a micrograph, to know how these differ


class _Part(NamedTuple):
    """Of the variance of one band: what images of a micrograph differ by, or micrographs.

    `far` is how far off its ratio is, 1 at the limit.
    """

    key: str
    place: str
    beyond: tuple[Interval, Interval]
    ratio: Interval
    floor: Interval
    verdict: Verdict
    reason: str
    far: float


def judge_spread(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer, tuple[str, ...]]:
    """Compare how much the noise's power in bands differs among images, within micrographs and between them.

    The variance of ln of an image's band power is that of its scatter, trigamma(n / 2) for a mean of n
    squared normal numbers, and what images differ by; the parts of the latter are those of a one-way analysis
    of variance (Searle, Casella and McCulloch 1992, Variance components, doi:10.1002/9780470316856).
    """
    groups, left_out = _groups(case, table)
    names = {"image": "images"}
    if groups.any():
        names = {"image": "images of one micrograph", "micrograph": "micrographs"}
    tables = {kind: _sums(case, table, groups, kind) for kind in ("fake", "raw")}
    scatter = torch.polygamma(1, table.pixels / 2)
    parts = [
        _part(case, tables, (key, number), float(scatter[number]), f"{name}, {band}")
        for key, name in names.items()
        for number, (band, _) in enumerate(table.bands)
    ]
    worst = max(parts, key=lambda part: part.far)
    shown = Quantity(
        "power_spread_ratio", f"standard deviation of ln power over {worst.place}, over raw's",
        worst.ratio, worst.floor, target=1.0,
        note="where it is furthest off, chance included; floor: halves of raw",
    )  # fmt: skip
    quantities = [
        Quantity(
            part.key, f"standard deviation of the noise's ln power over {part.place}", *part.beyond,
            note="beyond chance",
        )
        for part in parts
    ]  # fmt: skip
    reason = next((part.reason for part in parts if part.reason), "")
    text = (
        f"Where it is furthest off (over {worst.place}), fake's ln power scatters"
        f" {fixed(worst.ratio.value, 2)} times as much as raw's; beyond chance by"
        f" {fixed(worst.beyond[0].value, 3)} in fake and {fixed(worst.beyond[1].value, 3)} in raw."
    )
    answer = Answer(
        "power_spread", "Do images differ in the power of their noise as raw ones do?",
        together(*(part.verdict for part in parts)), f"{text} {reason}".strip(), shown.key,
    )  # fmt: skip
    return [*quantities, shown], answer, left_out


def _part(
    case: Case, tables: dict[str, list[Tensor]], which: tuple[str, int], scatter: float, place: str
) -> _Part:
    """Judge one part of the variance in one band."""
    key, number = which

    def variance(*sums: Tensor) -> Tensor:
        return _variances(*sums)[key == "micrograph"][:, number] - (scatter if key == "image" else 0)

    def beyond(*sums: Tensor) -> Tensor:
        return variance(*sums).clamp_min(0).sqrt()

    def log_deviation(*sums: Tensor) -> Tensor:
        return (variance(*sums) + scatter).clamp_min(0).log() / 2

    fake, raw = tables["fake"], tables["raw"]
    found = (case.resampling.of(beyond, *fake), case.resampling.of(beyond, *raw))
    compared, limit = compare(case, log_deviation, fake, raw), MOST_RATIO[key]
    verdict, reason = verdict_of(case, compared, math.log(limit))
    ratio, floor = (
        Interval(math.exp(log.value), math.exp(log.low), math.exp(log.high))
        for log in (compared.difference, compared.floor)
    )
    far = abs(compared.difference.value) / math.log(limit)
    far = 0.0 if math.isnan(far) else far
    return _Part(f"power_spread_{key}_{number + 1}", place, found, ratio, floor, verdict, reason, far)


def _groups(case: Case, table: ImageTable) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Count the micrographs from 0 on; all are 0 where what they differ by cannot be known from images."""
    names, groups = np.unique(table.groups, return_inverse=True)
    if not case.pairs.whole_groups:
        reason = "there are fewer than eight"
    elif len(groups) - len(names) < _FEWEST_ALIKE * len(groups):
        reason = "too few images are of one micrograph"
    else:
        return groups.astype(np.int64), ()
    return np.zeros(len(groups), dtype=np.int64), (
        f"What micrographs differ by in the power of noise: {reason}.",
    )


def _sums(case: Case, table: ImageTable, groups: NDArray[np.int64], kind: str) -> list[Tensor]:
    """Add up by unit: images, groups, sizes squared; ln power, its squares, group sums squared / size."""
    logs = table.of[kind].band_power.clamp_min(_FAINT).log()
    logs = logs - logs.mean(0)
    one = torch.ones(len(logs), dtype=torch.float64)
    by_group = torch.from_numpy(groups)
    size = torch.bincount(by_group).double()
    total = torch.zeros(len(size), logs.shape[1], dtype=torch.float64).index_add_(0, by_group, logs)
    alike, mean = size[by_group], (total / size[:, None])[by_group]  # images in the group of each; their mean
    return by_unit(case, table.units, one, 1 / alike, alike, logs, logs.square(), logs * mean)


def _variances(*sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return (b, K) variances of the images of a group, scatter included, and of groups; of `_sums`."""
    n, g, sizes = (values[:, None] for values in sums[:3])
    total, squares, between = sums[3:]
    within = (squares - between) / (n - g)
    per_group = (n - sizes / n) / (g - 1)
    among = ((between - total.square() / n) / (g - 1) - within) / per_group
    return within, among
