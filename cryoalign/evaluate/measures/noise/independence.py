"""Is the noise of every image its own? Correlations with that of other particles, of raw, of other draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Quantity, Verdict, decide, not_asked
from cryoalign.physics.spectrum import ring_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.sums import Sums

#: Correlation of the noise of two particles, beyond that of raw.
MOST_SHARED = 0.02
#: Fraction of the noise that stands in two draws from one sim.
MOST_REPEATED = 0.15
#: Correlation of the noise of a fake with that of its own raw image, which it cannot know.
MOST_COPIED = 0.1
#: Power of fake's noise over that of raw's below which there is nothing to judge.
LEAST_NOISE = 0.01

_NOTHING = 1e-9  # of an image's power: less is rounding
_COPIED = "Is fake's noise another than that of its raw image?"
_REPEATED = "Is the noise new in every draw?"


def judge_independence(case: Case) -> tuple[list[Quantity], list[Answer], tuple[str, ...]]:
    """Correlate the noise of fakes with other noise.

    Parameters
    ----------
    case : Case

    Returns
    -------
    list of Quantity
    list of Answer
        ``shared``, ``copied``, and ``repeated`` where there is a second draw. Of fakes of other particles
        than raw's ``copied`` is not asked, and ``repeated`` needs their own sims.
    tuple of str
        What was left out.
    """
    content = content_of(case)
    if content is None:
        return _unpaired(case)
    shared, shared_answer = _shared(case)
    copied, copied_answer = _copied(case, content)
    quantities, answers = [*shared, copied], [shared_answer, copied_answer]
    if "second_draw" not in case.pairs.kinds:
        return quantities, answers, ("Two draws from one sim: no second draw was given (second_draw=).",)
    repeated, repeated_answer = _repeated(case, content)
    return [*quantities, repeated], [*answers, repeated_answer], ()


def _unpaired(case: Case) -> tuple[list[Quantity], list[Answer], tuple[str, ...]]:
    """Judge fakes of other particles than raw's."""
    quantities, answer = _shared(case)
    reason = (
        "It needs the raw image of the fake's own particle, and there is none. Whether the noise is that of "
        "raw images, or of a training set, others= tells."
    )
    answers, left_out = [answer, not_asked("copied", _COPIED, reason)], ()
    if "second_draw" not in case.pairs.kinds:
        return quantities, answers, ("Two draws from one sim: no second draw was given (second_draw=).",)
    if "sim" not in case.pairs.kinds:
        reason = "It needs the fakes' own sims (sim=): two draws have their particle in common."
        return quantities, [*answers, not_asked("repeated", _REPEATED, reason)], left_out
    repeated, repeated_answer = _repeated(case, "sim")
    return [*quantities, repeated], [*answers, repeated_answer], left_out


def content_of(case: Case) -> str | None:
    """Return what counts as the content of an image: the truth where it was given, else sim.

    None where raw's content is not known, as it shows other particles: images are then compared as they are.
    """
    if not case.pairs.paired:
        return None
    return "truth" if "truth" in case.pairs.kinds else "sim"


def parts_of(sums: Sums, kind: str, content: str | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the (units, bins, R) sums that `residual` takes; zeros where the content is not known."""
    power = sums.power[kind]
    if content is None:
        return power, torch.zeros_like(power), torch.zeros_like(power)
    return power, sums.cross[kind, content], sums.power[content]


def residual(power: Tensor, cross: Tensor, content: Tensor) -> Tensor:
    """Return the power that content does not explain.

    Parameters
    ----------
    power, cross, content : (..., R) tensor
        Ring sums of |F|^2, Re F conj(C) and |C|^2; the content's share is that of the whole sum.

    Returns
    -------
    (..., R) tensor
    """
    return (power - cross.square() / content.clamp_min(1e-30)).clamp_min(0)


def residual_plane(sums: Sums, kind: str) -> Tensor:
    """Return the residual power with the content of sim taken away frequency by frequency.

    Unpaired it is all power.

    Parameters
    ----------
    sums : Sums
    kind : str
        ``fake`` or ``raw``.

    Returns
    -------
    (blocks, N, N // 2 + 1) float64 tensor
    """
    if not sums.paired:
        return sums.plane[kind]
    cross, content = sums.plane[f"{kind}.sim"].sum(0), sums.plane["sim"].sum(0).clamp_min(1e-30)
    gain = cross / content
    plane = sums.plane[kind] - 2 * gain * sums.plane[f"{kind}.sim"] + gain.square() * sums.plane["sim"]
    return plane.clamp_min(0)  # rounding, where nothing is left


def has_noise(sums: Sums) -> bool:
    """Whether fakes hold more than what sim explains, against raw."""
    fake, raw = (float(residual_plane(sums, kind).sum()) for kind in ("fake", "raw"))
    return fake > LEAST_NOISE * raw


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
        if not sums.paired:  # outside of the particle, whose blob all images share
            scale = float(sums.outside_power[kind].sum() / sums.block_count.sum())
            statistics[kind] = shared_noise(sums.outside[kind], sums.block_count, max(scale, 1e-30))
            continue
        gain = (sums.plane[f"{kind}.sim"].sum(0) / sums.plane["sim"].sum(0).clamp_min(1e-30)).to(
            torch.complex128
        )
        residuals = sums.total[kind] - gain * sums.total["sim"]
        residuals[:, 0, 0] = 0
        power = residual_plane(sums, kind)
        power[:, 0, 0] = 0
        scale = max(float(power.sum() / sums.block_count.sum()), _NOTHING * float(sums.plane[kind].sum()))
        statistics[kind] = shared_noise(residuals, sums.block_count, scale)
    unit = torch.eye(sums.blocks, dtype=torch.float64)
    resampling = case.block_resampling
    fake, raw = (resampling.of(statistics[kind], unit) for kind in ("fake", "raw"))
    more = resampling.of(lambda w: statistics["fake"](w) - statistics["raw"](w), unit)
    quantity = Quantity(
        "shared_noise", "correlation of the noise of two particles", fake, raw, target=0.0,
        note=f"beyond raw's: {fixed(more.value, 4)}",
    )  # fmt: skip
    verdict = decide(more, MOST_SHARED) if has_noise(sums) else Verdict.UNDECIDED
    text = (
        f"The noise of two particles correlates by {fixed(fake.value, 4)} in fake, {fixed(raw.value, 4)} in"
        " raw."
    )
    if not has_noise(sums):
        text = "Fake has no noise to speak of."
    return [quantity], Answer(
        "shared", "Is the noise of every particle its own?", verdict, text, quantity.key
    )


def _common_noise(box: int, *, nothing: float) -> Callable[..., Tensor]:
    """Make the correlation of the residuals of two sets of images, a mean over the pixels of all rings.

    Parameters
    ----------
    box : int
    nothing : float
        What rings count as in which one of the two has no residual.
    """
    pixels = ring_pixels(box)

    def statistic(*parts: Tensor) -> Tensor:
        both, f, fc, a, ac, c = parts
        common = both - fc * ac / c.clamp_min(1e-30)
        scale = (residual(f, fc, c) * residual(a, ac, c)).sqrt()
        there = scale > _NOTHING * (f * a).sqrt()
        ratio = torch.where(there, common / torch.where(there, scale, 1), torch.full_like(scale, nothing))
        return (ratio * pixels)[:, 1:].sum(-1) / pixels[1:].sum()

    return statistic


def _repeated(case: Case, content: str) -> tuple[Quantity, Answer]:
    """Correlation of the residuals of two draws: 0 for honest noise, 1 for a function of sim."""
    sums = case.sums
    statistic = _common_noise(sums.box, nothing=1.0)
    tables = (
        sums.cross["fake", "second_draw"], sums.power["fake"], sums.cross["fake", content],
        sums.power["second_draw"], sums.cross["second_draw", content], sums.power[content],
    )  # fmt: skip
    value = case.resampling.of(statistic, *(table.sum(1) for table in tables))
    bins = tuple(case.resampling.of(statistic, *(t[:, b] for t in tables)) for b in range(sums.bins))
    quantity = Quantity(
        "repeated_noise", "correlation of the noise of two draws from one sim", value, target=0.0,
        bins=bins if sums.bins > 1 else (), note="0: honest noise; 1: a function of sim",
    )  # fmt: skip
    text = (
        f"Two fakes of one sim share {fixed(value.value, 2)} of their noise; a function of sim would share 1."
    )
    return quantity, Answer("repeated", _REPEATED, decide(value, MOST_REPEATED), text, quantity.key)


def _copied(case: Case, content: str) -> tuple[Quantity, Answer]:
    """Correlation of the residuals of fake and its own raw image: a generator cannot know that noise."""
    sums = case.sums
    tables = (
        sums.cross["fake", "raw"], sums.power["fake"], sums.cross["fake", content],
        sums.power["raw"], sums.cross["raw", content], sums.power[content],
    )  # fmt: skip
    statistic = _common_noise(sums.box, nothing=0.0)
    value = case.resampling.of(statistic, *(table.sum(1) for table in tables))
    quantity = Quantity(
        "copied_noise", "correlation of fake's noise with that of its own raw image", value, target=0.0
    )
    text = f"The noise of a fake correlates with that of its own raw image by {fixed(value.value, 3)}."
    verdict = decide(value, MOST_COPIED)
    if verdict is Verdict.FAIL:
        text += " It cannot be foreseen: these fakes were made with their raw images at hand, or are copies."
    return quantity, Answer("copied", _COPIED, verdict, text, quantity.key)
