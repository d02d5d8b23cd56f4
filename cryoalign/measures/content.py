"""Did the content survive? What fake shows of sim, ring by ring, against what raw shows of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cryoalign.physics.spectrum import correlation_ratio, ring_sum
from cryoalign.referee.finding import (
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    Verdict,
    decide,
    together,
)
from cryoalign.referee.sums import product, ring_radii

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.referee.case import Case
    from cryoalign.referee.sums import Sums

#: Edges of the frequency bands, as fractions of Nyquist; the mean of the image lies in none.
BANDS = (0.0, 0.125, 0.25, 0.5, 1.0)
#: How much of sim fakes may show, as a multiple of what raw shows: over all rings, and in a band.
CONTENT, BAND_CONTENT = (0.75, 1.33), (0.5, 2.0)
#: Below this many standard errors raw's own relation to sim says nothing.
SEEN = 4.0


class ContentMeasure:
    """Transfer of sim into fake and into raw, their coherences, and with truth the ring correlation with it.

    T(k) = Re sum F S* / sum |S|^2 over the rings of all images, their mean image taken away (any particle
    shows a blob in the middle). One number stands for all rings: the sum of Re F S* over raw's power, ring by
    ring, of fake over that of raw. It is 1 for a perfect simulator, whatever sim's scale and envelope are.
    """

    name = "content"

    def __call__(self, case: Case) -> Finding:
        """Judge the pairs of a case."""
        quantities = [_overall(case), *_bands(case)]
        answer = _answer(quantities)
        answers, left_out = [answer], []
        if "truth" in case.pairs.kinds:
            truth = _truth(case)
            quantities += truth
            answers.append(_truth_answer(truth[-1]))
        else:
            left_out.append("Ring correlation with the truth: no truth was given (truth=).")
        return Finding(self.name, tuple(answers), tuple(quantities), _charts(case), tuple(left_out))


def centred_cross(sums: Sums, kind: str) -> Tensor:
    """Sum Re F conj(S) over rings and images, their mean images taken away.

    Parameters
    ----------
    sums : Sums
    kind : str
        ``fake`` or ``raw``.

    Returns
    -------
    (blocks, R) float64 tensor
    """
    count = sums.block_count
    means = {name: sums.total[name].sum(0) / count.sum() for name in (kind, "sim")}
    plane = (
        sums.plane[f"{kind}.sim"]
        - product(sums.total[kind], means["sim"])
        - product(means[kind], sums.total["sim"])
        + count[:, None, None] * product(means[kind], means["sim"])
    )
    return ring_sum(plane, sums.box)


def _overall(case: Case) -> Quantity:
    """One number: whitened by raw's power, what fake shows of sim over what raw shows."""
    sums = case.sums
    noise = ring_sum(sums.plane["raw"], sums.box).sum(0)
    fake, raw = centred_cross(sums, "fake"), centred_cross(sums, "raw")
    value = case.block_resampling.of(
        lambda a, b: (a / noise)[:, 1:].sum(-1) / (b / noise)[:, 1:].sum(-1), fake, raw
    )
    seen = case.block_resampling.of(lambda b: (b / noise)[:, 1:].sum(-1), raw)
    sigma = seen.value / max((seen.high - seen.low) / 4, 1e-30)
    bins = tuple(_bin_ratio(case, b) for b in range(sums.bins)) if sums.bins > 1 else ()
    return Quantity(
        "content_ratio",
        "content: what fake shows of sim over what raw shows",
        value,
        target=1.0,
        bins=bins,
        note=f"raw shows sim with {sigma:.0f} sigma",
    )


def _bin_ratio(case: Case, number: int) -> Interval:
    sums = case.sums
    noise = sums.power["raw"][:, number].sum(0)
    fake, raw = (sums.cross[kind, "sim"][:, number] for kind in ("fake", "raw"))
    return case.resampling.of(lambda a, b: (a / noise)[:, 1:].sum(-1) / (b / noise)[:, 1:].sum(-1), fake, raw)


def band_masks(box: int) -> list[tuple[str, Tensor]]:
    """Name the bands and mark their rings.

    Parameters
    ----------
    box : int

    Returns
    -------
    list of (str, (R,) bool tensor)
        Bands without rings are left out.
    """
    radius = ring_radii(box)
    masks = [(f"{low:g} to {high:g}", (radius > low) & (radius <= high)) for low, high in pairwise(BANDS)]
    return [(name, mask) for name, mask in masks if mask.any()]


def _bands(case: Case) -> list[Quantity]:
    """Transfer of fake over that of raw, and coherences of both with sim, band by band."""
    sums = case.sums
    cross = {kind: centred_cross(sums, kind) for kind in ("fake", "raw")}
    power = {kind: ring_sum(sums.plane[kind], sums.box) for kind in ("fake", "raw", "sim")}
    found = []
    for number, (name, mask) in enumerate(band_masks(sums.box), start=1):
        seen = case.block_resampling.of(lambda b, mask=mask: b[:, mask].sum(-1), cross["raw"])
        sigma = seen.value / max((seen.high - seen.low) / 4, 1e-30)
        ratio = case.block_resampling.of(
            lambda a, b, mask=mask: a[:, mask].sum(-1) / b[:, mask].sum(-1), cross["fake"], cross["raw"]
        )
        note = "" if sigma >= SEEN else f"raw shows sim here with {sigma:.1f} sigma only: not judged"
        found.append(
            Quantity(
                f"transfer_ratio_{number}",
                f"transfer of fake over raw's, u {name}",
                ratio,
                target=1.0,
                note=note,
            )
        )
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
                f"coherence_{number}", f"coherence with sim, u {name}", coherence["fake"], coherence["raw"]
            )
        )
    return found


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


def _answer(quantities: list[Quantity]) -> Answer:
    overall = quantities[0]
    question = "Does fake show the particle of sim as raw does?"
    sigma = float(overall.note.split()[4])
    if not sigma >= SEEN:
        words = (
            f"Raw shows sim with {sigma:.1f} sigma only: are these pairs? python -m cryoalign.audit tells."
        )
        return Answer("content", question, Verdict.UNDECIDED, words, overall.key)
    verdicts = [within(overall.fake, CONTENT)]
    judged = [entry for entry in quantities if entry.key.startswith("transfer") and not entry.note]
    verdicts += [within(entry.fake, BAND_CONTENT) for entry in judged]
    worst = min(
        judged, key=lambda entry: min(entry.fake.value, 1 / max(entry.fake.value, 1e-9)), default=overall
    )
    words = f"Fake shows {overall.fake.value:.2f} times as much of sim as raw does"
    words += f"; in the worst band ({worst.label.rpartition(', ')[2]}) {worst.fake.value:.2f} times."
    return Answer("content", question, together(*verdicts), words, overall.key)


def within(value: Interval, limits: tuple[float, float]) -> Verdict:
    """Hold a value against a lower and an upper limit.

    Parameters
    ----------
    value : Interval
    limits : (float, float)

    Returns
    -------
    Verdict
    """
    return together(decide(value, limits[0], above=False), decide(value, limits[1]))


def _truth_answer(kept: Quantity) -> Answer:
    words = f"Fake's ring correlation with the truth is {kept.fake.value:.2f} times raw's."
    verdict = decide(kept.fake, CONTENT[0], above=False)
    return Answer("truth", "Does fake show the truth as well as raw does?", verdict, words, kept.key)


def _charts(case: Case) -> tuple[Chart, ...]:
    sums = case.sums
    radius = tuple(ring_radii(sums.box)[1:].tolist())
    power = {kind: ring_sum(sums.plane[kind], sums.box).sum(0) for kind in ("fake", "raw", "sim")}
    cross = {kind: centred_cross(sums, kind).sum(0) for kind in ("fake", "raw")}
    transfer = {
        kind: Series(radius, tuple((cross[kind] / power["sim"])[1:].tolist())) for kind in ("raw", "fake")
    }
    coherence = {
        kind: Series(radius, tuple(correlation_ratio(cross[kind], power[kind], power["sim"])[1:].tolist()))
        for kind in ("raw", "fake")
    }
    u = "normalized radius u (fraction of Nyquist)"
    charts = [
        Chart(
            "transfer",
            "Content transfer: how much of sim fake and raw show",
            u,
            "T(u) = Re ΣF S* / Σ|S|²",
            transfer,
        ),
        Chart("coherence", "Coherence with sim", u, "ring correlation", coherence),
    ]
    if "truth" in case.pairs.kinds:
        series = {}
        for kind in ("sim", "raw", "fake"):
            parts = (sums.cross[kind, "truth"], sums.power[kind], sums.power["truth"])
            curve = correlation_ratio(*(values.sum((0, 1)) for values in parts))
            series[kind] = Series(radius, tuple(curve[1:].tolist()))
        charts.append(Chart("truth", "Ring correlation with the truth", u, "ring correlation", series))
    return tuple(charts)
