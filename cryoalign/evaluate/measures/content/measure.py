"""Did the content survive? What fake shows of sim, ring by ring, against what raw shows of it."""

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
    not_asked,
    reachable,
    together,
    within,
)
from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.physics.half_plane import product
from cryoalign.physics.spectrum import correlation_ratio, normalized_radius, ring_sum

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.sums import Sums

#: How much of sim fakes may show, as a multiple of what raw shows: over all rings, and in a band.
CONTENT, BAND_CONTENT = (0.75, 1.33), (0.5, 2.0)
#: Below this many standard errors raw's own relation to sim says nothing.
SEEN = 4.0

_CONTENT = "Does fake show the particle of sim as raw does?"
_TRUTH = "Does fake show the truth as well as raw does?"
_FOREIGN = 0.3  # less of sim than this, whole interval, is not a weak particle but another one


class ContentMeasure:
    """Transfer of sim into fake and into raw, their coherences, and with truth the ring correlation with it.

    T(k) = Re sum F S* / sum |S|^2 over the rings of all images, their mean image taken away (any particle
    shows a blob in the middle). One number stands for all rings: the sum of Re F S* over raw's power, ring by
    ring, of fake over that of raw. It is 1 for a perfect simulator, whatever sim's scale and envelope are.
    """

    name = "content"

    def __call__(self, case: Case) -> Finding:
        """Judge the pairs of a case."""
        if not case.pairs.paired:
            return _unpaired(case)
        overall, sigma = _overall(case)
        bands, judged = _bands(case)
        quantities = [overall, *bands]
        answers, left_out = [_answer(overall, sigma, judged)], []
        if "truth" in case.pairs.kinds:
            truth = _truth(case)
            quantities += truth
            answers.append(_truth_answer(truth[-1], case.reached.get("truth_kept")))
        else:
            left_out.append("Ring correlation with the truth: no truth was given (truth=).")
        return Finding(self.name, by_key(answers), by_key(quantities), by_key(_charts(case)), tuple(left_out))


def _unpaired(case: Case) -> Finding:
    """Answer why raw's particles cannot be a measure, and judge what fakes show of their own sims."""
    reason = "It needs raw images of the same particles: how much these show of sim is the measure."
    answers = [not_asked("content", _CONTENT, reason)]
    answers.append(not_asked("truth", _TRUTH, "It needs raw images of the same particles, and their truth."))
    if "sim" not in case.pairs.kinds:
        left_out = ("What fakes show of their own sims: these were not given (sim=).",)
        return Finding(ContentMeasure.name, by_key(answers), left_out=left_out)
    sums = case.sums
    cross, *power = (_centred(sums, *both) for both in (("fake", "sim"), ("fake", "fake"), ("sim", "sim")))
    noise = ring_sum(sums.plane["fake"], sums.box).sum(0)
    shown = case.block_resampling.of(lambda values: (values / noise)[:, 1:].sum(-1), cross)
    sigma = _sigma(shown)
    quantities = []
    for number, (name, mask) in enumerate(band_masks(sums.box, case.pairs.pixel_size), start=1):
        parts = [values[:, mask].sum(-1) for values in (cross, *power)]
        coherence = case.block_resampling.of(correlation_ratio, *parts)
        quantities.append(Quantity(f"coherence_{number}", f"coherence with its own sim, {name}", coherence))
    text = f"Fake shows its own sim with {fixed(sigma, 0)} sigma"
    verdict = Verdict.PASS if sigma >= SEEN else Verdict.FAIL if sigma <= -SEEN else Verdict.UNDECIDED
    if verdict is Verdict.FAIL:
        text += ": its contrast looks inverted"
    elif verdict is Verdict.UNDECIDED:
        text += (
            f", and {SEEN:g} would tell: another particle, none at all, or too much noise for so few images"
        )
    answers.append(
        Answer("own_sim", "Does fake show the particle of its own sim?", verdict, f"{text}.", "coherence_1")
    )
    return Finding(ContentMeasure.name, by_key(answers), by_key(quantities))


def _centred(sums: Sums, one: str, other: str) -> Tensor:
    """(blocks, R) sums over rings and images of Re F_one conj(F_other), their mean images taken away."""
    count = sums.block_count
    means = {name: sums.total[name].sum(0) / count.sum() for name in (one, other)}
    plane = (
        sums.plane[one if one == other else f"{one}.{other}"]
        - product(sums.total[one], means[other])
        - product(means[one], sums.total[other])
        + count[:, None, None] * product(means[one], means[other])
    )
    return ring_sum(plane, sums.box)


def _sigma(shown: Interval) -> float:
    """Return a value in standard errors, four of which its interval holds; NaN without an interval."""
    return shown.value / max((shown.high - shown.low) / 4, 1e-30)


def _overall(case: Case) -> tuple[Quantity, float]:
    """Whitened by raw's power, what fake shows of sim over what raw shows; and raw's own in sigma."""
    sums = case.sums
    noise = ring_sum(sums.plane["raw"], sums.box).sum(0)
    fake, raw = (_centred(sums, kind, "sim") for kind in ("fake", "raw"))
    value = case.block_resampling.of(
        lambda a, b: (a / noise)[:, 1:].sum(-1) / (b / noise)[:, 1:].sum(-1), fake, raw
    )
    sigma = _sigma(case.block_resampling.of(lambda b: (b / noise)[:, 1:].sum(-1), raw))
    bins = tuple(_bin_ratio(case, b) for b in range(sums.bins)) if sums.bins > 1 else ()
    quantity = Quantity(
        "content_ratio",
        "content: what fake shows of sim over what raw shows",
        value,
        target=1.0,
        bins=bins,
        note=f"raw shows sim with {fixed(sigma, 0)} sigma",
    )
    return quantity, sigma


def _bin_ratio(case: Case, number: int) -> Interval:
    sums = case.sums
    noise = sums.power["raw"][:, number].sum(0)
    fake, raw = (sums.cross[kind, "sim"][:, number] for kind in ("fake", "raw"))
    return case.resampling.of(lambda a, b: (a / noise)[:, 1:].sum(-1) / (b / noise)[:, 1:].sum(-1), fake, raw)


def _bands(case: Case) -> tuple[list[Quantity], list[Quantity]]:
    """Transfer of fake over that of raw, and coherences of both with sim, band by band.

    Beside them the transfers of those bands in which raw shows sim.
    """
    sums = case.sums
    cross = {kind: _centred(sums, kind, "sim") for kind in ("fake", "raw")}
    power = {kind: _centred(sums, kind, kind) for kind in ("fake", "raw", "sim")}
    found, judged = [], []
    for number, (name, mask) in enumerate(band_masks(sums.box, case.pairs.pixel_size), start=1):
        sigma = _sigma(case.block_resampling.of(lambda b, mask=mask: b[:, mask].sum(-1), cross["raw"]))
        ratio = case.block_resampling.of(
            lambda a, b, mask=mask: a[:, mask].sum(-1) / b[:, mask].sum(-1), cross["fake"], cross["raw"]
        )
        seen = sigma >= SEEN
        note = "" if seen else f"raw shows sim here with {fixed(sigma, 1)} sigma only: not judged"
        label = f"transfer of fake over raw's, {name}"
        found.append(Quantity(f"transfer_ratio_{number}", label, ratio, target=1.0, note=note))
        judged += [found[-1]] if seen else []
        coherence = {
            kind: case.block_resampling.of(
                lambda c, p, s, mask=mask: correlation_ratio(
                    c[:, mask].sum(-1), p[:, mask].sum(-1), s[:, mask].sum(-1)
                ),
                cross[kind],
                power[kind],
                power["sim"],
            )
            for kind in ("fake", "raw")
        }
        found.append(
            Quantity(
                f"coherence_{number}", f"coherence with sim, {name}", coherence["fake"], coherence["raw"]
            )
        )
    return found, judged


def _truth(case: Case) -> list[Quantity]:
    """Ring correlation with the truth, a mean over rings, and its loss against raw."""
    sums = case.sums
    tables: dict[str, tuple[Tensor, ...]] = {}
    for kind in ("fake", "raw", "sim"):
        tables[kind] = tuple(
            values.sum(1) for values in (sums.cross[kind, "truth"], sums.power[kind], sums.power["truth"])
        )
    values = {kind: case.resampling.of(_mean_correlation, *parts) for kind, parts in tables.items()}
    kept = case.resampling.of(
        lambda *parts: _mean_correlation(*parts[:3]) / _mean_correlation(*parts[3:]),
        *tables["fake"],
        *tables["raw"],
    )
    return [
        Quantity(
            "truth_correlation", "ring correlation with the truth, mean over rings",
            values["fake"], values["raw"], values["sim"],
        ),
        Quantity("truth_kept", "that of fake over that of raw", kept, target=1.0),
    ]  # fmt: skip


def _mean_correlation(cross: Tensor, power: Tensor, truth: Tensor) -> Tensor:
    return correlation_ratio(cross, power, truth)[:, 1:].mean(-1)


def _answer(overall: Quantity, sigma: float, judged: list[Quantity]) -> Answer:
    if not sigma >= SEEN:
        text = f"Raw shows sim with {fixed(sigma, 1)} sigma only: are these pairs? cryoalign audit tells."
        return Answer("content", _CONTENT, Verdict.UNDECIDED, text, overall.key)
    whole = within(overall.fake, CONTENT)
    verdict = together(whole, *(within(band.fake, BAND_CONTENT) for band in judged))
    text, shown = f"Fake shows {fixed(overall.fake.value, 2)} times as much of sim as raw does", overall
    if overall.fake.high < -_FOREIGN:
        text += ": its contrast looks inverted"
    elif overall.fake.high < _FOREIGN:
        text += ": another particle, another order of the images, or none at all"
    if judged:
        worst = min(judged, key=lambda band: min(band.fake.value, 1 / max(band.fake.value, 1e-9)))
        name = worst.label.rpartition(", ")[2]
        text += f"; in the worst band ({name}) {fixed(worst.fake.value, 2)} times"
        shown = overall if verdict is whole else worst
    return Answer("content", _CONTENT, verdict, f"{text}.", shown.key)


def _truth_answer(kept: Quantity, reached: float | None) -> Answer:
    """Hold the correlation against raw's, or against what real noise on sim reaches where that is known."""
    text = f"Fake's ring correlation with the truth is {fixed(kept.fake.value, 2)} times raw's"
    if reached is not None and reached > 0:
        text += f"; transplant, whose noise is real, reaches {fixed(reached, 2)}: fake has "
        text += f"{fixed(kept.fake.value / reached, 2)} of that"
    text += "."
    verdict = decide(kept.fake, CONTENT[0] * reachable(reached)[0], above=False)
    return Answer("truth", _TRUTH, verdict, text, kept.key)


def _charts(case: Case) -> tuple[Chart, ...]:
    sums = case.sums
    radius = tuple(normalized_radius(sums.box, dtype=torch.float64)[1:].tolist())
    power = {kind: _centred(sums, kind, kind).sum(0) for kind in ("fake", "raw", "sim")}
    cross = {kind: _centred(sums, kind, "sim").sum(0) for kind in ("fake", "raw")}
    transfer = {
        kind: Series(radius, tuple((cross[kind] / power["sim"])[1:].tolist())) for kind in ("raw", "fake")
    }
    coherence = {
        kind: Series(radius, tuple(correlation_ratio(cross[kind], power[kind], power["sim"])[1:].tolist()))
        for kind in ("raw", "fake")
    }
    charts = [
        Chart(
            "transfer",
            "Content transfer: how much of sim fake and raw show",
            RADIUS,
            "T(u) = Re ΣF S* / Σ|S|²",
            transfer,
        ),
        Chart("coherence", "Coherence with sim", RADIUS, "ring correlation", coherence),
    ]
    if "truth" in case.pairs.kinds:
        series = {}
        for kind in ("sim", "raw", "fake"):
            parts = (sums.cross[kind, "truth"], sums.power[kind], sums.power["truth"])
            curve = correlation_ratio(*(values.sum((0, 1)) for values in parts))
            series[kind] = Series(radius, tuple(curve[1:].tolist()))
        charts.append(Chart("truth", "Ring correlation with the truth", RADIUS, "ring correlation", series))
    return tuple(charts)
