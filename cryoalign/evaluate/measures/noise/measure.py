"""Is the noise that of the measurement, and is it noise? What is left of an image without its content."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.errors import within as within_range
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
    reachable,
    together,
    within,
)
from cryoalign.evaluate.measures.content.bands import band_masks
from cryoalign.evaluate.measures.noise.ctf_slope import judge_ctf_slope
from cryoalign.evaluate.measures.noise.edges import judge_edges
from cryoalign.evaluate.measures.noise.grey_values import judge_grey
from cryoalign.evaluate.measures.noise.image_table import image_table
from cryoalign.evaluate.measures.noise.independence import (
    content_of,
    judge_independence,
    parts_of,
    residual,
    residual_plane,
)
from cryoalign.evaluate.measures.noise.skewness import judge_skewness
from cryoalign.evaluate.measures.noise.spread import judge_spread
from cryoalign.evaluate.measures.noise.texture import judge_modulation, judge_rings
from cryoalign.physics.spectrum import normalized_radius, ring_pixels

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.sums import Sums

#: Noise power in a band as a multiple of raw's, or of what real noise reaches.
POWER = (0.8, 1.25)
#: Difference of the autocorrelations at any lag of up to 3 px along both axes.
MOST_LAG_DIFFERENCE = 0.1

_NEAR_LAGS = 3  # px, of the autocorrelation that is judged
_LAGS = 8  # px, of the one that is drawn


class NoiseMeasure:
    """Power, colour and grey values of the residual, and whether it is new in every image and every draw.

    The residual of an image is what a filter of the content does not explain, F - T(k) C with
    T = Re sum F C* / sum |C|^2 over the rings of all images; C is the truth where it was given, else sim.
    Fakes of other particles than raw's are compared with raw as they are, particle and noise together.

    Parameters
    ----------
    images : int
        Particles at the most, spread over the groups, that are looked at one by one: for skewness, for what
        images differ by, for how even the noise is, for the CTF in it, and for what continues across edges.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "noise"

    def __init__(self, images: int = 1000) -> None:
        self.images = within_range("measure.noise.images", images, 1, whole=True)

    def __call__(self, case: Case) -> Finding:
        """Judge the pairs of a case."""
        sums = case.sums
        content = content_of(case)
        bands, power_answer = _powers(case, content)
        grey, grey_answer, grey_chart = judge_grey(case)
        independence, independence_answers, left_out = judge_independence(case)
        table = image_table(case, self.images)
        spread, spread_answer, spread_left_out = judge_spread(case, table)
        others = [
            judge(case, table)
            for judge in (judge_skewness, judge_modulation, judge_rings, judge_ctf_slope, judge_edges)
        ]
        quantities = (
            *bands,
            *grey,
            *independence,
            *spread,
            *(entry for found, _ in others for entry in found),
        )
        answers = (
            power_answer, grey_answer, *independence_answers, spread_answer, *(answer for _, answer in others)
        )  # fmt: skip
        charts = (_power_chart(sums, content), _lag_chart(sums), grey_chart)
        return Finding(
            self.name, by_key(answers), by_key(quantities), by_key(charts), (*left_out, *spread_left_out)
        )


def _powers(case: Case, content: str | None) -> tuple[list[Quantity], Answer]:
    """Noise power of fake over raw's, and signal-to-noise of both, band by band."""
    sums = case.sums
    tables = {kind: parts_of(sums, kind, content) for kind in ("fake", "raw")}
    found, verdicts = [], []
    for number, (name, mask) in enumerate(band_masks(sums.box, case.pairs.pixel_size), start=1):

        def ratio(*parts: Tensor, mask: Tensor = mask) -> Tensor:
            return residual(*parts[:3])[:, mask].sum(-1) / residual(*parts[3:])[:, mask].sum(-1)

        def snr(p: Tensor, c: Tensor, s: Tensor, mask: Tensor = mask) -> Tensor:
            left = residual(p, c, s)
            return (p - left)[:, mask].sum(-1) / left[:, mask].sum(-1)

        both = (*tables["fake"], *tables["raw"])
        value = case.resampling.of(ratio, *(values.sum(1) for values in both))
        bins = tuple(case.resampling.of(ratio, *(v[:, b] for v in both)) for b in range(sums.bins))
        found.append(
            Quantity(
                f"noise_power_ratio_{number}", f"noise power over raw's, {name}", value, target=1.0,
                bins=bins if sums.bins > 1 else (),
            )
        )  # fmt: skip
        least, most = reachable(case.reached.get(found[-1].key))
        verdicts.append(within(value, (least * POWER[0], most * POWER[1])))
        if content is None:
            continue
        signal = {
            kind: case.resampling.of(snr, *(values.sum(1) for values in parts))
            for kind, parts in tables.items()
        }
        found.append(Quantity(f"snr_{number}", f"signal-to-noise, {name}", signal["fake"], signal["raw"]))
    lags = _lag_difference(case)
    found.append(lags)
    verdicts.append(decide(lags.fake, MOST_LAG_DIFFERENCE + case.reached.get(lags.key, 0.0)))
    worst = max(
        (entry for entry in found if entry.key.startswith("noise_power")),
        key=lambda entry: _off(entry.fake, reachable(case.reached.get(entry.key))),
    )
    what = "fake's noise has" if content else "fake, particle and noise together, has"
    text = (
        f"In the band where it is furthest off ({worst.label.rpartition(', ')[2]}) {what} "
        f"{fixed(worst.fake.value, 2)} times the power of raw's; autocorrelations differ by "
        f"{fixed(lags.fake.value, 3)}."
    )
    if worst.key in case.reached:
        text += (
            f" Real noise, by transplant, has {fixed(case.reached[worst.key], 2)} times the power there and "
            f"differs by {fixed(case.reached.get(lags.key, 0.0), 3)}: between that and raw is no fault."
        )
    question = "Has the noise the power and the colour of raw's?"
    shown = lags if verdicts[-1] is not Verdict.PASS and together(*verdicts[:-1]) is Verdict.PASS else worst
    return found, Answer("noise", question, together(*verdicts), text, shown.key)


def _off(ratio: Interval, perfect: tuple[float, float]) -> tuple[float, float]:
    """How far a ratio is from what is perfect, and from 1; not at all where it is not known."""
    if math.isnan(ratio.value):
        return 0.0, 0.0
    least, most = perfect
    return max(1 - ratio.value / least, ratio.value / most - 1, 0.0), abs(ratio.value - 1)


def _autocovariance(residual: Tensor) -> Tensor:
    """(..., N, N) autocovariance of residuals with so much power on the half plane, their means left out."""
    box = residual.shape[-2]
    plane = residual.clone()
    plane[..., 0, 0] = 0
    lags: Tensor = torch.fft.irfft2(plane, s=(box, box))
    return lags


def _lag_difference(case: Case) -> Quantity:
    """Largest difference of the autocorrelations at lags up to 3 px; floor: halves of raw."""

    def largest(a: Tensor, b: Tensor) -> Tensor:
        a, b = (lags / lags[..., :1, :1] for lags in (a, b))
        return (a - b).abs().flatten(-2).amax(-1)

    # The lags of a sum are the sum of the lags: few numbers are resampled, not whole planes.
    near = torch.arange(-_NEAR_LAGS, _NEAR_LAGS + 1).roll(-_NEAR_LAGS)  # along y; 0 comes first
    planes = (residual_plane(case.sums, kind) for kind in ("fake", "raw"))
    fake, raw = (_autocovariance(plane)[..., near, : _NEAR_LAGS + 1] for plane in planes)
    value = case.block_resampling.of(largest, fake, raw)
    halves = float(largest(raw[0::2].sum(0), raw[1::2].sum(0))) if len(raw) > 1 else float("nan")
    return Quantity(
        "autocorrelation_difference", "largest difference of the noise's autocorrelation, lags up to 3 px",
        value, Interval(halves, halves, halves), target=0.0, note="floor: halves of raw",
    )  # fmt: skip


def _power_chart(sums: Sums, content: str | None) -> Chart:
    radius = tuple(normalized_radius(sums.box, dtype=torch.float64)[1:].tolist())
    pixels = ring_pixels(sums.box) * sums.count.sum()
    series = {}
    for kind in ("raw", "fake"):
        left = residual(*(values.sum((0, 1)) for values in parts_of(sums, kind, content))) / pixels
        series[kind] = Series(radius, tuple(left[1:].tolist()))
    return Chart(
        "noise_power", "Power of the noise", RADIUS,
        "mean |F|² of the residual (grey values²)", series, log_y=True,
    )  # fmt: skip


def _lag_chart(sums: Sums) -> Chart:
    lags = tuple(float(lag) for lag in range(_LAGS + 1))
    series = {}
    for kind in ("raw", "fake"):
        values = _autocovariance(residual_plane(sums, kind).sum(0))[0]
        series[kind] = Series(lags, tuple((values[: _LAGS + 1] / values[0]).tolist()))
    return Chart("autocorrelation", "Autocorrelation of the noise along x", "lag (px)", "correlation", series)
