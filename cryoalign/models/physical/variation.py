"""How images differ from the mean image: in power, by image and by micrograph, and in their CTF."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.models.defocus_bins import FOLDS
from cryoalign.models.physical.bands import FINENESS, bands, fit_in_bands
from cryoalign.models.physical.choice import FEWEST_GROUPS, NOTHING, Verdict, decide, fold_sums
from cryoalign.models.physical.covariates import Covariates, fit_covariates, no_covariates
from cryoalign.models.physical.ctf_uncertainty import UncertaintySums, relative_variance
from cryoalign.models.physical.model import UNSEEN
from cryoalign.models.physical.modes import (
    FEWEST_PIXELS,
    Micrographs,
    Modes,
    log_ring_power,
    no_modes,
)
from cryoalign.physics.half_plane import half_plane, squared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from cryoalign.models.physical.model import Model
    from cryoalign.models.physical.spectra import Spectra

_MOST = 20_000  # images whose log power is kept
_IMAGES, _MICROGRAPHS = (1, 4), (4, 16)  # numbers of modes that are tried, beside those that stand out


class LogPower(NamedTuple):
    """The log power of the rings of images over what is expected, and what is known of each.

    Attributes
    ----------
    u : (n, R) tensor
    group, micrograph : (n,) int64 tensor
    dose, tilt, defocus : (n,) tensor
    """

    u: Tensor
    group: Tensor
    micrograph: Tensor
    dose: Tensor
    tilt: Tensor
    defocus: Tensor

    def take(self, rows: Tensor) -> LogPower:
        """Return some of the images."""
        return LogPower(*(values[rows] for values in self))


class Variation(NamedTuple):
    """What differs from image to image.

    Attributes
    ----------
    covariates : Covariates
    modes : Modes
    micrographs : Micrographs
        That were seen in the fit.
    rho : (R,) tensor
        Uncertainty of the CTF.
    pixels : (R,) tensor
        Of each ring, as many as tell of its power: fewer where the CTF is uncertain.
    normalized : bool
        Whether each image was divided by the standard deviation of its background. That makes a level common
        to all rings, which differs between images of white noise, too; fakes get theirs by the same division.
    """

    covariates: Covariates
    modes: Modes
    micrographs: Micrographs
    rho: Tensor
    pixels: Tensor
    normalized: bool

    def to(self, device: torch.device) -> Variation:
        """Return the same on a device."""
        covariates, modes, micrographs, rho, pixels, normalized = self
        return Variation(
            Covariates(*(values.to(device) for values in covariates)),
            Modes(*(values.to(device) for values in modes)),
            Micrographs(*(values.to(device) for values in micrographs)),
            rho.to(device),
            pixels.to(device),
            normalized,
        )

    def expected(self, spectra: Spectra, model: Model) -> Tensor:
        """Compute the log power of the rings of images that were measured, (B, R)."""
        known = _predicted(self.covariates, spectra)
        u = _log_ring_power(spectra, model, self.rho)[0] - known
        if self.normalized:
            level = _level(u, self.pixels)
            return known + level + self.modes.expected(u - level, self.pixels)
        return known + self.modes.expected(u, self.pixels)


def fit_variation(
    pairs: Iterable[Spectra],
    sample: Iterable[Spectra],
    model: Model,
    settings: Mapping[str, bool | str],
    *,
    normalized: bool,
) -> tuple[Variation, dict[str, Verdict]]:
    """Fit how images differ, and choose what of it is kept.

    Where the CTF is uncertain the power of single frequencies scatters, which must not be taken for what
    the whole ring does: so the power of rings is measured once more when the uncertainty is known, with
    weights.

    Parameters
    ----------
    pairs : iterable of Spectra
        All; iterated twice at the most.
    sample : iterable of Spectra
        What is in memory.
    model : Model
    settings : mapping of str to bool or ``auto``
    normalized : bool
        Whether raw was divided by the standard deviation of its background.

    Returns
    -------
    variation : Variation
    verdicts : dict of str to Verdict
        By the names of the settings.
    """
    found, verdicts = _one_round(pairs, model, torch.zeros_like(model.constant), settings, normalized)
    rho, verdict = _choose_rho(sample, model, found, settings["ctf_uncertainty"])
    if verdict.kept:
        found, verdicts = _one_round(pairs, model, rho, settings, normalized)
        rho, second = _choose_rho(sample, model, found, settings["ctf_uncertainty"])
        if second.kept:
            found, verdict = found._replace(rho=rho), second
    return found, verdicts | {"ctf_uncertainty": verdict}


def _one_round(
    pairs: Iterable[Spectra],
    model: Model,
    rho: Tensor,
    settings: Mapping[str, bool | str],
    normalized: bool,
) -> tuple[Variation, dict[str, Verdict]]:
    """Fit and choose all but the uncertainty of the CTF."""
    verdicts: dict[str, Verdict] = {}
    log_power, pixels = measure(pairs, model, rho)
    if normalized:
        log_power = log_power._replace(u=log_power.u - _level(log_power.u, pixels))
    covariates, verdicts["covariates"] = _choose_covariates(log_power, pixels, settings["covariates"])
    left = log_power._replace(u=log_power.u - _predicted(covariates, log_power))
    modes, verdicts["variation"], verdicts["shared_variation"] = _choose_modes(left, pixels, settings)
    micrographs = modes.micrographs(left.u, pixels, left.micrograph)
    return Variation(covariates, modes, micrographs, rho, pixels, normalized), verdicts


def measure(pairs: Iterable[Spectra], model: Model, rho: Tensor) -> tuple[LogPower, Tensor]:
    """Compute the log power of images: all of them, or as many as are needed, evenly spaced.

    Parameters
    ----------
    pairs : iterable of Spectra
    model : Model
    rho : (R,) tensor
        Uncertainty of the CTF.

    Returns
    -------
    log_power : LogPower
    pixels : (R,) tensor
        Of each ring, as many as tell of its power.

    Both are on the CPU.
    """
    step, seen, filled, pixels = 1, 0, 0, torch.zeros(len(rho), dtype=torch.float64)
    tables: list[Tensor] = []  # filled in place: rows kept one by one would split up the memory
    for spectra in pairs:
        device = spectra.raw.device
        u, count = _log_ring_power(spectra, model.to(device), rho.to(device))
        pixels += count.sum(0).cpu()
        known = LogPower(u, *(getattr(spectra, name) for name in LogPower._fields[1:]))
        tables = tables or [values.new_empty(_MOST, *values.shape[1:]) for values in known]
        place = torch.arange(seen, seen + len(u))
        seen += len(u)
        while filled + int((place % step == 0).sum()) > _MOST:
            step, filled = 2 * step, (filled + 1) // 2
            for table in tables:
                table[:filled] = table[: 2 * filled : 2].clone()
        rows = place % step == 0
        new = slice(filled, filled + int(rows.sum()))
        for table, values in zip(tables, known, strict=True):
            table[new] = values[rows]
        filled = new.stop
    return LogPower(*(table[:filled].cpu() for table in tables)), pixels / seen


def _log_ring_power(spectra: Spectra, model: Model, rho: Tensor) -> tuple[Tensor, Tensor]:
    """Return log power and number of pixels of rings, where frequencies that scatter count less."""
    box, weight = len(model.pattern), None
    if bool((rho > 0).any()):
        ring = half_plane(box, rho.device).ring
        amplitude = spectra.ctf.square() * (model.following / model.constant)[ring]
        weight = 1 / relative_variance(amplitude.sqrt(), rho[ring])
    return log_ring_power(model.relative(spectra), box, weight)


def _level(u: Tensor, pixels: Tensor) -> Tensor:
    """Return the log power that all rings have in common, (n, 1)."""
    weight = torch.where(pixels >= FEWEST_PIXELS, pixels, 0).to(u)
    return (u @ weight / weight.sum())[:, None]


def _predicted(covariates: Covariates, images: Spectra | LogPower) -> Tensor:
    """Return what the metadata of images add to their log power, (B, R)."""
    return covariates.log_power(images.dose, images.tilt, images.defocus)


def _held_out(log_power: LogPower, gain: Callable[[LogPower, LogPower], Tensor]) -> Tensor:
    """Gain in log-likelihood of each fold of groups, (F,), of what was fitted on the others."""
    fold = log_power.group % FOLDS
    gains = torch.zeros(len(fold), dtype=torch.float64)
    numbers = torch.unique(fold).tolist()
    for number in numbers if len(numbers) > 1 else []:
        held, others = (rows.nonzero()[:, 0] for rows in (fold == number, fold != number))
        gains[held] = gain(log_power.take(others), log_power.take(held))
    return fold_sums(gains, fold, FOLDS)


def _choose_covariates(
    log_power: LogPower, pixels: Tensor, setting: bool | str
) -> tuple[Covariates, Verdict]:
    """Decide whether power follows dose, tilt and defocus."""

    def fit(known: LogPower) -> Covariates:
        return fit_covariates(known.u, pixels, known.dose, known.tilt, known.defocus)

    def gain(others: LogPower, held: LogPower) -> Tensor:
        centred = held.u - others.u.mean(0)
        found, nothing = (
            covariates.log_likelihood(centred, pixels, held.dose, held.tilt, held.defocus)
            for covariates in (fit(others), no_covariates(len(pixels)))
        )
        return found - nothing

    whole = fit(log_power)
    if setting is False or not bool((whole.scale > 0).any()):
        return no_covariates(len(pixels)), NOTHING
    verdict = decide(setting, _held_out(log_power, gain), default=False)
    return (whole if verdict.kept else no_covariates(len(pixels))), verdict


def _choose_modes(
    log_power: LogPower, pixels: Tensor, settings: Mapping[str, bool | str]
) -> tuple[Modes, Verdict, Verdict]:
    """Decide whether images differ in power, and whether those of a micrograph differ together.

    How fine the modes are and how many there are is decided by held-out groups, too.
    """
    nothing = no_modes(pixels)
    if settings["variation"] is False:
        return nothing, NOTHING, NOTHING
    found = [_InBands(log_power, pixels, fineness) for fineness in _different(pixels)]
    shared = settings["shared_variation"] is not False
    if shared:
        found.append(_InBands(log_power, pixels, found[-1].fineness, shared=True))
    if not any(one.modes.varies for one in found):
        return nothing, NOTHING, NOTHING
    tried = [one for one in found if not one.shared]
    tried += [one.like((count, 0)) for one in tried for count in _IMAGES]
    single, gain = _best(tried, log_power)
    verdict, together = decide(settings["variation"], gain), NOTHING
    if shared:
        both = _InBands(log_power, pixels, single.fineness, shared=True)
        tried = [both, *(both.like((single.counts[0], count)) for count in _MICROGRAPHS)]
        best, with_shared = _best(tried, log_power)
        together = decide(settings["shared_variation"], with_shared - gain, default=False)
        if together.kept:
            single, verdict = best, decide(settings["variation"], with_shared)
    if not verdict.kept:
        return nothing, verdict, NOTHING
    return single.modes, verdict, together


class _InBands:
    """Modes of one fineness, fitted to all images, and again to some of them."""

    def __init__(
        self,
        log_power: LogPower,
        pixels: Tensor,
        fineness: float,
        counts: tuple[int, int] | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._log_power, self._pixels, self.fineness, self.shared = log_power, pixels, fineness, shared
        self._counts = counts
        self.modes, self.counts = self._fit(log_power)
        self._counts = self.counts

    def like(self, counts: tuple[int, int]) -> _InBands:
        """Return the same with other numbers of modes."""
        return _InBands(self._log_power, self._pixels, self.fineness, counts, shared=self.shared)

    def gain(self, others: LogPower, held: LogPower) -> Tensor:
        """Return what images gain over no modes, (n,), by as many modes found in others."""
        found, nothing = (
            modes.log_likelihood(held.u, self._pixels, held.micrograph)
            for modes in (self._fit(others)[0], no_modes(self._pixels))
        )
        return found - nothing

    def _fit(self, known: LogPower) -> tuple[Modes, tuple[int, int]]:
        micrograph = known.micrograph if self.shared else torch.arange(len(known.u))
        return fit_in_bands(known.u, self._pixels, micrograph, self.fineness, self._counts)


def _best(tried: list[_InBands], log_power: LogPower) -> tuple[_InBands, Tensor]:
    """Return what predicts held-out groups best, and its gains; the first where none can be held out."""
    if len(torch.unique(log_power.group % FOLDS)) < FEWEST_GROUPS:
        return tried[0], torch.zeros(0)
    gains = [_held_out(log_power, one.gain) for one in tried]
    best = max(range(len(tried)), key=lambda place: float(gains[place].sum()))
    return tried[best], gains[best]


def _different(pixels: Tensor) -> list[float]:
    """Return the finenesses that differ in their bands, the finest first."""
    found: dict[int, float] = {}
    for fineness in FINENESS:
        found.setdefault(int(bands(pixels, fineness).max()), fineness)
    return list(found.values())


def _choose_rho(
    sample: Iterable[Spectra], model: Model, variation: Variation, setting: bool | str
) -> tuple[Tensor, Verdict]:
    """Decide whether the CTF is uncertain near its zeros."""
    nothing = torch.zeros(len(model.constant))
    if setting is False or not bool((model.following > 0).any()):
        return nothing, NOTHING
    box = len(model.pattern)
    sums = UncertaintySums(box)
    for spectra in sample:
        device = spectra.raw.device
        ring, model, variation = half_plane(box, device).ring, model.to(device), variation.to(device)
        left, fraction = model.residual(spectra)
        level = model.pattern * fraction * variation.expected(spectra, model)[:, ring].exp()
        little = 0.01 * UNSEEN * model.power(spectra.ctf).mean()
        constant = model.constant + little
        ratio = (model.following / constant).sqrt()
        fixed = (squared(left) + little) / (level * constant[ring])
        sums.add(fixed, ratio[ring] * spectra.ctf.abs(), spectra.group)
    found = sums.fit()
    verdict = decide(setting, found.held_out, needed=bool((found.rho > 0).any()))
    return (found.rho if verdict.kept else nothing), verdict
