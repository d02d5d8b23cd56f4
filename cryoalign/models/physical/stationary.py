"""The fit of signal and stationary noise: rounds of gain, ramps, power and pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.models.physical.gain import GainSums
from cryoalign.models.physical.model import Gain, Model, without_ramps
from cryoalign.models.physical.pattern import PatternSums
from cryoalign.models.physical.power import PowerTable
from cryoalign.models.physical.ramps import RampSums
from cryoalign.physics.half_plane import half_plane, squared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryoalign.models.physical.choice import Verdict
    from cryoalign.models.physical.spectra import Spectra

_ROUNDS = 3


class Start(NamedTuple):
    """What a first look at the pairs tells.

    Attributes
    ----------
    model : Model
        No signal, and raw's mean power as noise.
    largest : float
        CTF^2.
    """

    model: Model
    largest: float


def first_look(sample: Iterable[Spectra], box: int) -> Start:
    """Compute the mean power of raw.

    Parameters
    ----------
    sample : iterable of Spectra
    box : int
        Image size in px.
    """
    rings = half_plane(box)
    count, largest = 0, 1e-6
    power = torch.zeros((), dtype=torch.float64)
    for spectra in sample:
        count += len(spectra.raw)
        largest = max(largest, float(spectra.ctf.square().max()))
        # Ramps would be taken for the noise of the first ring.
        power = power + squared(without_ramps(spectra.raw)).sum(0, dtype=torch.float64)
    sums = torch.zeros_like(rings.pixels).index_add_(
        0, rings.ring.flatten(), (power.cpu() * rings.weight).flatten()
    )
    constant = (sums / rings.pixels / count).float()
    constant = constant.clamp(min=1e-9 * float(constant[1:].max()))
    nothing = torch.zeros_like(constant)
    gain = Gain(torch.zeros(1), nothing[None], torch.zeros(1))
    return Start(Model(gain, constant, nothing, torch.ones(rings.ring.shape), torch.ones(2)), largest)


def fit_stationary(
    sample: Iterable[Spectra], box: int, settings: Mapping[str, bool | str]
) -> tuple[Start, dict[str, Verdict]]:
    """Fit gain, ramps, power and pattern in three rounds.

    Parameters
    ----------
    sample : iterable of Spectra
        Iterated several times.
    box : int
        Image size in px.
    settings : mapping of str to bool or ``auto``
        What is asked for of each part.

    Returns
    -------
    start : Start
        The model.
    verdicts : dict of str to Verdict
        On the parts, by the names of their settings.
    """
    start = first_look(sample, box)
    verdicts: dict[str, Verdict] = {}
    for number in range(_ROUNDS):
        model, verdicts = one_round(sample, start, settings, last=number == _ROUNDS - 1)
        start = start._replace(model=model)
    return start, verdicts


def one_round(
    pairs: Iterable[Spectra], start: Start, settings: Mapping[str, bool | str], *, last: bool = True
) -> tuple[Model, dict[str, Verdict]]:
    """Fit each part, knowing the others.

    Parameters
    ----------
    pairs : iterable of Spectra
        Iterated three or four times.
    start : Start
        What is known so far.
    settings : mapping of str to bool or ``auto``
    last : bool
        Whether it is decided here if there are ramps; before, they are taken out of the residuals in case.

    Returns
    -------
    model : Model
        float32.
    verdicts : dict of str to Verdict
    """
    model, box = start.model, len(start.model.pattern)
    verdicts: dict[str, Verdict] = {}
    gain_sums = GainSums(box)
    for spectra in pairs:
        power = model.to(spectra.ctf.device).power(spectra.ctf)
        removed = bool((model.ramps > 0).any())
        sim, raw = (without_ramps(image) if removed else image for image in (spectra.sim, spectra.raw))
        gain_sums.add(spectra._replace(sim=sim, raw=raw), power)
    gain, verdicts["gain_by_defocus"] = gain_sums.fit(settings["gain_by_defocus"])
    model = model._replace(gain=Gain(*(values.float() for values in gain)))

    spread = torch.ones(2)
    if last or settings["ramps"] is False:
        ramp_sums = RampSums()
        for spectra in pairs:
            ramp_sums.add(spectra, model.to(spectra.raw.device))
        spread, verdicts["ramps"] = ramp_sums.fit(settings["ramps"])
    model = model._replace(ramps=spread.float())

    table = PowerTable(box, start.largest)
    for spectra in pairs:
        here = model.to(spectra.raw.device)
        left, fraction = here.residual(spectra)
        table.add(squared(left) / (fraction * here.pattern), spectra.ctf, spectra.group)
    constant, following, verdicts["ctf_noise"] = table.fit(settings["ctf_noise"])
    model = model._replace(constant=constant.float(), following=following.float())

    flat = model._replace(pattern=torch.ones_like(model.pattern))
    pattern_sums = PatternSums(box)
    for spectra in pairs:
        pattern_sums.add(flat.to(spectra.raw.device).relative(spectra), spectra.group)
    pattern, verdicts["pattern"] = pattern_sums.fit(settings["pattern"])
    return model._replace(pattern=pattern.float()), verdicts
