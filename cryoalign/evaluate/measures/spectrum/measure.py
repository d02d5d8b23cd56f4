"""Is the spectrum that of the measurement? RPSD beside its floor, mean curves, the whole plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import (
    RADIUS,
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    Verdict,
    by_key,
    decide,
    together,
)
from cryoalign.evaluate.measures.spectrum.plane import judge_peaks, plane_chart
from cryoalign.evaluate.resampling import TAILS
from cryoalign.evaluate.sums import by_block
from cryoalign.physics.spectrum import normalized_radius, rpsd_distance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.sums import Sums

#: Largest excess of the RPSD L1 of single images: of two raw images it is 1.
MOST_EXCESS = 1.1
#: Largest distance of the mean curves, in ln of power, and its excess over that of halves of raw: too far is
#: what is beyond both.
MOST_MEAN_DISTANCE, MOST_MEAN_EXCESS = 0.1, 1.5

_SPLITS = 60
_FEWEST_BLOCKS = 4


class SpectrumMeasure:
    """Distances of radial log power spectra, image by image and of means, and of power on the whole plane.

    The excess of a distance is its ratio to that of raw from another raw image of like defocus. For the mean
    curves and the plane it is that of half of the fakes from the other half's raws, over that of the half's
    own raws, on random halves of the micrographs.

    Parameters
    ----------
    seed : int
        Of the halves.
    """

    name = "spectrum"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, case: Case) -> Finding:
        """Judge the pairs of a case."""
        sums = case.sums
        quantities = [*_distances(case), *self._of_halves(sums)]
        peak, free_of_peaks = judge_peaks(sums)
        answer = _answer(by_key(quantities))
        left_out = (
            ()
            if sums.blocks >= _FEWEST_BLOCKS
            else ("Mean curves and the whole plane need at least four resampling units.",)
        )
        return Finding(
            self.name,
            by_key((answer, free_of_peaks)),
            by_key((*quantities, peak)),
            by_key((_curves(case), plane_chart(sums))),
            left_out,
        )

    def _of_halves(self, sums: Sums) -> list[Quantity]:
        """Mean curves and the plane: distance between halves of the blocks, absolute and as excess."""
        if sums.blocks < _FEWEST_BLOCKS:
            return []
        curves = {kind: by_block(values.sum(1), sums.blocks) for kind, values in sums.curve.items()}
        found = []
        for key, label, tables, distance in (
            ("mean_rpsd_l1", "RPSD L1 of the mean curves", curves, _curve_distance),
            ("plane_distance", "mean |ln of power ratio| over the whole plane", sums.plane, _plane_distance),
        ):
            fake, fake_excess = self._excess(tables["fake"], tables["raw"], sums.block_count, distance)
            sim, sim_excess = (
                self._excess(tables["sim"], tables["raw"], sums.block_count, distance)
                if "sim" in tables
                else (None, None)
            )
            floor = fake.value / fake_excess.value
            note = "between random halves of the micrographs"
            found += [
                Quantity(key, label, fake, Interval(floor, floor, floor), sim, note=note),
                Quantity(f"{key}_excess", f"excess {label}", fake_excess, None, sim_excess, target=1.0),
            ]
        return found

    def _excess(
        self, images: Tensor, raw: Tensor, count: Tensor, distance: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Interval, Interval]:
        """Distance of one half's images from the other's raws, and its ratio to that of its own raws."""
        generator = torch.Generator().manual_seed(self.seed)
        blocks = len(count)
        point, drawn = [], []
        for _ in range(_SPLITS):
            side = torch.zeros(blocks, dtype=torch.float64)
            side[torch.randperm(blocks, generator=generator)[: blocks // 2]] = 1
            halves = (side, 1 - side)
            resampled = [
                torch.multinomial(half, int(half.sum()), replacement=True, generator=generator)
                for half in halves
            ]
            drawn_halves = tuple(torch.bincount(chosen, minlength=blocks).double() for chosen in resampled)
            point.append(_halves(images, raw, count, halves, distance))
            drawn.append(_halves(images, raw, count, drawn_halves, distance))
        whole, replicates = torch.stack(point).mean(0), torch.stack(drawn)
        ratio = replicates[:, 0] / replicates[:, 1]
        return _around(whole[0], replicates[:, 0]), _around(whole[0] / whole[1], ratio)


def _distances(case: Case) -> list[Quantity]:
    """RPSD image by image: of fake, another raw image, and sim."""
    sums = case.sums
    found = []
    for power, key, name in ((1, "rpsd_l1", "RPSD L1"), (2, "rpsd_mse", "RPSD MSE")):
        table = {kind: values for (kind, number), values in sums.distance.items() if number == power}
        for suffix, label, below, floor, target in (
            ("", f"{name}, image by image", sums.count, "other1", None),
            ("_excess", f"excess {name}", table["other1"], "other2", 1.0),
        ):
            kinds = [kind for kind in ("fake", floor, "sim") if kind in table]
            values = {kind: _ratio(case, table[kind].sum(1), below.sum(1)) for kind in kinds}
            bins = tuple(_ratio(case, table["fake"][:, b], below[:, b]) for b in range(sums.bins))
            found.append(
                Quantity(
                    f"{key}{suffix}",
                    label,
                    values["fake"],
                    values[floor],
                    values.get("sim"),
                    target=target,
                    lower_is_better=True,
                    bins=bins if sums.bins > 1 else (),
                )
            )
    return found


def _ratio(case: Case, above: Tensor, below: Tensor) -> Interval:
    return case.resampling.of(lambda a, b: a / b, above, below)


def _halves(
    images: Tensor,
    raw: Tensor,
    count: Tensor,
    weights: tuple[Tensor, ...],
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """(2,) distance of one half's images, and of its raws, from the other half's raws."""
    one, other = weights
    means = [
        torch.tensordot(weight, values, dims=1) / (weight @ count)
        for weight, values in ((one, images), (one, raw), (other, raw))
    ]
    return torch.stack([distance(means[0], means[2]), distance(means[1], means[2])])


def _curve_distance(a: Tensor, b: Tensor) -> Tensor:
    return rpsd_distance(a, b, 1)


def _plane_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a.clamp_min(1e-30).log() - b.clamp_min(1e-30).log()).abs().mean()


def _around(value: Tensor, replicates: Tensor) -> Interval:
    """Put the relative spread of replicates, noisier as they repeat blocks, around the value itself."""
    logs = replicates.log() - replicates.log().median()
    low, high = (float(torch.quantile(logs, tail).exp()) for tail in TAILS)
    return Interval(float(value), float(value) * low, float(value) * high)


def _answer(quantities: Mapping[str, Quantity]) -> Answer:
    excess = quantities["rpsd_l1_excess"]
    verdicts, shown = [decide(excess.fake, MOST_EXCESS)], excess
    text = f"RPSD L1 is {fixed(excess.fake.value, 2)} times that of two raw images of like defocus"
    if excess.ceiling is not None:
        text += f" (sim: {fixed(excess.ceiling.value, 2)})"
    mean, over = quantities.get("mean_rpsd_l1"), quantities.get("mean_rpsd_l1_excess")
    if mean is not None and over is not None:
        signs = {decide(mean.fake, MOST_MEAN_DISTANCE), decide(over.fake, MOST_MEAN_EXCESS)}
        # Two signs of one fault: far in power, and further than chance.
        verdicts.append(
            Verdict.PASS if Verdict.PASS in signs else Verdict.UNDECIDED if len(signs) > 1 else signs.pop()
        )
        text += (
            f", where up to {MOST_EXCESS:g} passes; the mean curves are {fixed(mean.fake.value, 3)} apart "
            f"(up to {MOST_MEAN_DISTANCE:g}), {fixed(over.fake.value, 1)} times as far as halves of raw "
            f"(up to {MOST_MEAN_EXCESS:g})"
        )
        shown = mean if verdicts[0] is not together(*verdicts) else excess
    question = "Is the power spectrum that of the measurement?"
    return Answer("spectrum", question, together(*verdicts), text + ".", shown.key)


def _curves(case: Case) -> Chart:
    sums = case.sums
    radius = tuple(normalized_radius(sums.box, dtype=torch.float64).tolist())
    weights, counts = case.resampling.weights, sums.count.sum(1)
    series: dict[str, Series] = {}
    for kind in ("sim", "fake", "raw"):
        if kind not in sums.curve:
            continue
        curve = sums.curve[kind].sum(1)
        drawn = (weights @ curve) / (weights @ counts)[:, None]
        low, high = (tuple(torch.quantile(drawn, tail, dim=0).tolist()) for tail in TAILS)
        series[kind] = Series(radius, tuple((curve.sum(0) / counts.sum()).tolist()), low, high)
    return Chart(
        "rpsd",
        "Radial log power spectra: mean over particles and its 95 % interval",
        RADIUS,
        "s(u) = ring mean of ln(1 + |F|²)",
        series,
    )
