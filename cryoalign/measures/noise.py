"""Is the noise that of the measurement, and is it noise? What is left of an image without its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.measures.content import band_masks, within
from cryoalign.measures.grey import judge_grey
from cryoalign.physics.spectrum import ring_sum
from cryoalign.referee.finding import (
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    decide,
    together,
)
from cryoalign.referee.sums import ring_radii

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cryoalign.referee.case import Case
    from cryoalign.referee.sums import Sums

#: Noise power in a band, and signal-to-noise, as multiples of raw's.
POWER = (0.8, 1.25)
#: Correlation of the noise of two particles, beyond that of raw.
MOST_SHARED = 0.02
#: Fraction of the noise that stands in two draws from one sim.
MOST_REPEATED = 0.15

_LAGS = 8  # px, of the autocorrelation that is drawn
_NOTHING = 1e-9  # of an image's power: less is rounding


class NoiseMeasure:
    """Power, colour and grey values of the residual, and whether it is new in every image and every draw.

    The residual of an image is what a filter of the content does not explain, F - T(k) C with
    T = Re sum F C* / sum |C|^2 over the rings of all images; C is the truth where it was given, else sim.
    """

    name = "noise"

    def __call__(self, case: Case) -> Finding:
        """Judge the pairs of a case."""
        sums = case.sums
        content = "truth" if "truth" in case.pairs.kinds else "sim"
        bands, power_answer = _powers(case, content)
        grey, grey_answer, grey_chart = judge_grey(case)
        shared, shared_answer = _shared(case)
        answers, left_out = [power_answer, grey_answer, shared_answer], []
        quantities = [*bands, *grey, *shared]
        if "again" in case.pairs.kinds:
            repeated, repeated_answer = _repeated(case, content)
            quantities.append(repeated)
            answers.append(repeated_answer)
        else:
            left_out.append("Two draws from one sim: no second draw was given (again=).")
        charts = (_power_chart(sums, content), _lag_chart(sums), grey_chart)
        return Finding(self.name, tuple(answers), tuple(quantities), charts, tuple(left_out))


def _residual(power: Tensor, cross: Tensor, content: Tensor) -> Tensor:
    """Power that content does not explain; the content's share is that of the whole sum, ring by ring."""
    return (power - cross.square() / content.clamp_min(1e-30)).clamp_min(0)


def _parts(sums: Sums, kind: str, content: str) -> tuple[Tensor, Tensor, Tensor]:
    return sums.power[kind], sums.cross[kind, content], sums.power[content]


def _powers(case: Case, content: str) -> tuple[list[Quantity], Answer]:
    """Noise power of fake over raw's, and signal-to-noise of both, band by band."""
    sums = case.sums
    tables = {kind: _parts(sums, kind, content) for kind in ("fake", "raw")}
    found, verdicts = [], []
    for number, (name, mask) in enumerate(band_masks(sums.box), start=1):

        def ratio(*parts: Tensor, mask: Tensor = mask) -> Tensor:
            return _residual(*parts[:3])[:, mask].sum(-1) / _residual(*parts[3:])[:, mask].sum(-1)

        def snr(p: Tensor, c: Tensor, s: Tensor, mask: Tensor = mask) -> Tensor:
            residual = _residual(p, c, s)
            return (p - residual)[:, mask].sum(-1) / residual[:, mask].sum(-1)

        both = (*tables["fake"], *tables["raw"])
        value = case.resampling.of(ratio, *(values.sum(1) for values in both))
        bins = tuple(case.resampling.of(ratio, *(v[:, b] for v in both)) for b in range(sums.bins))
        found.append(
            Quantity(
                f"noise_power_ratio_{number}", f"noise power over raw's, u {name}", value, target=1.0,
                bins=bins if sums.bins > 1 else (),
            )
        )  # fmt: skip
        verdicts.append(within(value, POWER))
        signal = {
            kind: case.resampling.of(snr, *(values.sum(1) for values in parts))
            for kind, parts in tables.items()
        }
        found.append(Quantity(f"snr_{number}", f"signal-to-noise, u {name}", signal["fake"], signal["raw"]))
    lags = _lag_difference(case)
    found.append(lags)
    verdicts.append(decide(lags.fake, 0.1))
    worst = max(
        (entry for entry in found if entry.key.startswith("noise_power")),
        key=lambda entry: abs(entry.fake.value - 1) if entry.fake.value == entry.fake.value else 0.0,
    )
    words = (
        f"In the band where it is furthest off ({worst.label.rpartition(', ')[2]}) fake's noise has "
        f"{worst.fake.value:.2f} times the power of raw's; autocorrelations differ by {lags.fake.value:.3f}."
    )
    question = "Has the noise the power and the colour of raw's?"
    return found, Answer("noise", question, together(*verdicts), words, worst.key)


def _correlogram(residual: Tensor) -> Tensor:
    """(..., N, N) autocorrelation of residuals of a mean power on the half plane; 1 at lag 0."""
    box = residual.shape[-2]
    plane = residual.clone()
    plane[..., 0, 0] = 0
    lags: Tensor = torch.fft.irfft2(plane, s=(box, box))
    return lags / lags[..., :1, :1]


def _residual_plane(sums: Sums, kind: str) -> Tensor:
    """(blocks, N, N // 2 + 1) residual power, with the content of sim taken away frequency by frequency."""
    cross, content = sums.plane[f"{kind}.sim"].sum(0), sums.plane["sim"].sum(0).clamp_min(1e-30)
    gain = cross / content
    plane = sums.plane[kind] - 2 * gain * sums.plane[f"{kind}.sim"] + gain.square() * sums.plane["sim"]
    return plane.clamp_min(0)  # rounding, where nothing is left


def _lag_difference(case: Case) -> Quantity:
    """Largest difference of the autocorrelations at lags up to 3 px; floor: halves of raw."""

    def largest(a: Tensor, b: Tensor) -> Tensor:
        away = (_correlogram(a) - _correlogram(b))[..., :4, :4].abs()
        return away.flatten(-2).amax(-1)

    fake, raw = (_residual_plane(case.sums, kind) for kind in ("fake", "raw"))
    value = case.block_resampling.of(largest, fake, raw)
    halves = float(largest(raw[0::2].sum(0), raw[1::2].sum(0))) if len(raw) > 1 else float("nan")
    return Quantity(
        "autocorrelation_difference", "largest difference of the noise's autocorrelation, lags up to 3 px",
        value, Interval(halves, halves, halves), target=0.0, note="floor: halves of raw",
    )  # fmt: skip


def shared_noise(residuals: Tensor, count: Tensor, power: float) -> Callable[[Tensor], Tensor]:
    """Make the statistic of noise that several particles share, of units drawn w times.

    Only products of images of different blocks enter, so that blocks drawn twice do not add to it.

    Parameters
    ----------
    residuals : (blocks, N, N // 2 + 1) complex tensor
        Sums of residuals.
    count : (blocks,) tensor
        Images.
    power : float
        Mean power of one image's residual on the half plane, as `residuals` are laid out.

    Returns
    -------
    callable
        Takes (b, blocks) weights and gives (b,) mean correlations of two particles' residuals.
    """
    flat = torch.view_as_real(residuals).flatten(1)
    gram = flat @ flat.T

    def statistic(weights: Tensor) -> Tensor:
        pairs = torch.einsum("bi,ij,bj->b", weights, gram, weights) - weights.square() @ gram.diagonal()
        number = (weights @ count).square() - weights.square() @ count.square()
        return pairs / number / power

    return statistic


def _shared(case: Case) -> tuple[list[Quantity], Answer]:
    sums = case.sums
    statistics = {}
    for kind in ("fake", "raw"):
        gain = (sums.plane[f"{kind}.sim"].sum(0) / sums.plane["sim"].sum(0).clamp_min(1e-30)).to(
            torch.complex128
        )
        residuals = sums.total[kind] - gain * sums.total["sim"]
        residuals[:, 0, 0] = 0
        power = _residual_plane(sums, kind)
        power[:, 0, 0] = 0
        scale = max(float(power.sum() / sums.block_count.sum()), _NOTHING * float(sums.plane[kind].sum()))
        statistics[kind] = shared_noise(residuals, sums.block_count, scale)
    unit = torch.eye(sums.blocks, dtype=torch.float64)
    resampling = case.block_resampling
    fake, raw = (resampling.of(statistics[kind], unit) for kind in ("fake", "raw"))
    more = resampling.of(lambda w: statistics["fake"](w) - statistics["raw"](w), unit)
    quantity = Quantity(
        "shared_noise", "correlation of the noise of two particles", fake, raw, target=0.0,
        note=f"beyond raw's: {more.value:.4f}",
    )  # fmt: skip
    verdict = decide(more, MOST_SHARED)
    words = f"The noise of two particles correlates by {fake.value:.4f} in fake, {raw.value:.4f} in raw."
    return [quantity], Answer(
        "shared", "Is the noise of every particle its own?", verdict, words, quantity.key
    )


def _repeated(case: Case, content: str) -> tuple[Quantity, Answer]:
    """Correlation of the residuals of two draws: 0 for honest noise, 1 for a function of sim."""
    sums = case.sums
    pixels = ring_sum(torch.ones(1, sums.box, sums.box // 2 + 1, dtype=torch.float64), sums.box)

    def statistic(*parts: Tensor) -> Tensor:
        both, f, fc, a, ac, c = parts
        common = both - fc * ac / c.clamp_min(1e-30)
        scale = (_residual(f, fc, c) * _residual(a, ac, c)).sqrt()
        there = scale > _NOTHING * (f * a).sqrt()
        ratio = torch.where(there, common / torch.where(there, scale, 1), torch.ones_like(scale))
        return (ratio * pixels)[:, 1:].sum(-1) / pixels[:, 1:].sum()

    tables = (
        sums.cross["fake", "again"], sums.power["fake"], sums.cross["fake", content],
        sums.power["again"], sums.cross["again", content], sums.power[content],
    )  # fmt: skip
    value = case.resampling.of(statistic, *(table.sum(1) for table in tables))
    bins = tuple(case.resampling.of(statistic, *(t[:, b] for t in tables)) for b in range(sums.bins))
    quantity = Quantity(
        "repeated_noise", "correlation of the noise of two draws from one sim", value, target=0.0,
        bins=bins if sums.bins > 1 else (), note="0: honest noise; 1: a function of sim",
    )  # fmt: skip
    words = f"Two fakes of one sim share {value.value:.2f} of their noise; a function of sim would share 1."
    question = "Is the noise new in every draw?"
    return quantity, Answer("repeated", question, decide(value, MOST_REPEATED), words, quantity.key)


def _power_chart(sums: Sums, content: str) -> Chart:
    radius = tuple(ring_radii(sums.box)[1:].tolist())
    pixels = (
        ring_sum(torch.ones(sums.box, sums.box // 2 + 1, dtype=torch.float64), sums.box) * sums.count.sum()
    )
    series = {}
    for kind in ("raw", "fake"):
        residual = _residual(*(values.sum((0, 1)) for values in _parts(sums, kind, content))) / pixels
        series[kind] = Series(radius, tuple(residual[1:].tolist()))
    return Chart(
        "noise_power", "Power of the noise", "normalized radius u (fraction of Nyquist)",
        "mean |F|² of the residual (grey values²)", series, log_y=True,
    )  # fmt: skip


def _lag_chart(sums: Sums) -> Chart:
    lags = tuple(float(lag) for lag in range(_LAGS + 1))
    series = {}
    for kind in ("raw", "fake"):
        values = _correlogram(_residual_plane(sums, kind).sum(0))
        series[kind] = Series(lags, tuple(values[0, : _LAGS + 1].tolist()))
    return Chart("autocorrelation", "Autocorrelation of the noise along x", "lag (px)", "correlation", series)
