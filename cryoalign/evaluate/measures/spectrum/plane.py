"""Power on the whole Fourier plane, corners included: what a radial average cannot see."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.finding import Answer, Chart, Interval, Quantity, Series, Verdict
from cryoalign.evaluate.measures.noise.independence import has_noise
from cryoalign.physics.half_plane import half_plane

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.sums import Sums

#: What makes a frequency a periodic peak: power against its surroundings, and standard deviations of their
#: scatter.
PEAK_FACTOR, PEAK_SIGMA = 1.3, 6.0

_RING_PIXELS = 48  # frequencies that a surrounding holds
_FEWEST_FREQUENCIES = 400  # of the half plane
_LOWEST_PEAK = 3  # rings below which a peak is the particle's shape
_FAINT = 0.05  # of raw's power: fainter patterns are nobody's concern


def peaks(power: Tensor, reference: Tensor, images: float) -> tuple[Tensor, Tensor]:
    """Find frequencies at which a power ratio stands out from its surroundings.

    Parameters
    ----------
    power, reference : (N, N // 2 + 1) tensor
        Sums of |F|^2.
    images : float
        How many images they are sums over.

    Returns
    -------
    away : (N, N // 2 + 1) tensor
        ln of the ratio less the median of the frequencies of like radius; ratios below 0.05 count as that.
    scatter : (N, N // 2 + 1) tensor
        Its standard deviation there: the robust spread of the surroundings, at least that of exponentially
        distributed powers, sqrt(2 / images); sqrt(2) times that at frequencies that are their own negatives
        (Nyquist), where the transform is real.
    """
    box = power.shape[-2]
    radius = half_plane(box).radius.flatten()
    ratio = (power / reference.clamp_min(1e-30)).clamp_min(_FAINT).log().flatten()
    away, scatter = torch.zeros_like(ratio), torch.ones_like(ratio)
    order = radius.argsort(stable=True)
    order = order[radius[order] >= _LOWEST_PEAK]
    for part in order.tensor_split(max(len(order) // _RING_PIXELS, 1)):
        middle = ratio[part].median()
        spread = 1.4826 * (ratio[part] - middle).abs().median()
        away[part] = ratio[part] - middle
        scatter[part] = spread.clamp_min(math.sqrt(2 / images))
    away, scatter = away.view_as(power), scatter.view_as(power)
    if box % 2 == 0:
        scatter[:: box // 2, :: box // 2] *= math.sqrt(2)
    return away, scatter


def judge_peaks(sums: Sums) -> tuple[Quantity, Answer]:
    """Look for a checkerboard or another grid in the fakes.

    Parameters
    ----------
    sums : Sums

    Returns
    -------
    Quantity
    Answer
    """
    raw = sums.plane["raw"]
    away, scatter = peaks(sums.plane["fake"].sum(0), raw.sum(0), float(sums.block_count.sum()))
    strongest = int((away / scatter).argmax())
    height, spread = (float(values.flatten()[strongest]) for values in (away, scatter))
    sigma, factor = height / spread, math.exp(height)
    period = _period(strongest, sums.box)
    floor = _raw_peak(raw, sums.block_count)
    quantity = Quantity(
        "periodic_peak",
        "strongest periodic peak: power against its surroundings",
        Interval(factor, math.exp(height - 2 * spread), math.exp(height + 2 * spread)),
        Interval(floor, floor, floor),
        target=1.0,
        note=f"{sigma:.1f} sigma, {period}; the interval is 2 sigma to either side; floor: halves of raw",
    )
    found = sigma > PEAK_SIGMA and factor > PEAK_FACTOR
    verdict = Verdict.FAIL if found else Verdict.PASS
    text = (
        f"There is a pattern with {period}: {factor:.1f} times the power around it, {sigma:.0f} sigma."
        if found
        else f"No frequency stands out: at most {factor:.2f} times the power around it, {sigma:.1f} sigma."
    )
    if raw[0].numel() < _FEWEST_FREQUENCIES:
        verdict, text = Verdict.UNDECIDED, f"A box of {sums.box} px has too few frequencies to tell."
    elif not has_noise(sums):
        verdict = Verdict.UNDECIDED
        text = "Fake has no noise to speak of: its particle's own spectrum is as uneven as a pattern."
    question = "Are the images free of a periodic pattern?"
    return quantity, Answer("peaks", question, verdict, text, quantity.key)


def _raw_peak(raw: Tensor, count: Tensor) -> float:
    """Return the strongest peak of one half of the raw images against the other."""
    if len(count) < 2:
        return math.nan
    first, second = raw[0::2].sum(0), raw[1::2].sum(0)
    away, scatter = peaks(first, second * (count[0::2].sum() / count[1::2].sum()), float(count.sum()) / 4)
    return math.exp(float(away.flatten()[int((away / scatter).argmax())]))


def _period(flat: int, box: int) -> str:
    """Return in words which frequency an entry of the half plane is."""
    row, column = divmod(flat, box // 2 + 1)
    row = row if row <= box // 2 else row - box
    parts = [
        f"{box / abs(index):.3g} px along {axis}" for axis, index in (("x", column), ("y", row)) if index
    ]
    return "a period of " + (" and ".join(parts) or "the box")


def plane_chart(sums: Sums) -> Chart:
    """Draw the ratio of power along the axes and the diagonal, where a grid would stand.

    Parameters
    ----------
    sums : Sums

    Returns
    -------
    Chart
    """
    half = sums.box // 2
    ratio = sums.plane["fake"].sum(0) / sums.plane["raw"].sum(0).clamp_min(1e-30)
    index = torch.arange(1, half + 1)
    u = tuple((index / half).tolist())
    lines = {"along x": ratio[0, index], "along y": ratio[index, 0], "diagonal": ratio[index, index]}
    return Chart(
        "plane",
        "Power of fake over power of raw, along the axes and the diagonal of the plane",
        "frequency along the axis (fraction of Nyquist)",
        "power ratio",
        {name: Series(u, tuple(line.tolist())) for name, line in lines.items()},
        log_y=True,
    )
