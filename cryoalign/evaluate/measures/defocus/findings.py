"""Numbers and charts of the Thon rings of several sets of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.evaluate.finding import Chart, Interval, Quantity, Series
from cryoalign.evaluate.measures.defocus.profile import Located, locate
from cryoalign.evaluate.measures.defocus.sets import SEEN
from cryoalign.evaluate.resampling import Resampling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoalign.evaluate.measures.defocus.sets import SetFit, SetRings
    from cryoalign.evaluate.stacks import Stacks

CROSS = {"fake": "fake x sim", "raw": "raw x sim"}
"""Names of the cross spectra with sim."""

_KINDS = ("fake", "raw", "sim")
_TWO_SIGMA = 1.96


@dataclass(frozen=True)
class Fitted:
    """The rings of all sets, and the bootstrap over the sets.

    Attributes
    ----------
    pairs : Stacks
    sets : list of SetRings
    relative : (O,) float64
        Grid of the profiles, as fractions of the defocus.
    resampling : Resampling
        Of the sets, which hold whole groups.
    limit : float
        Error of the defocus that matters, in %.
    """

    pairs: Stacks
    sets: list[SetRings]
    relative: NDArray[np.float64]
    resampling: Resampling
    limit: float

    @property
    def spectra(self) -> tuple[str, ...]:
        """Names of the spectra that were fitted."""
        return tuple(self.sets[0].fits)

    @property
    def bins(self) -> NDArray[np.int64]:
        """(S,) defocus bin of most images of each set."""
        middle = [np.median(self.pairs.bins[entry.rows]) for entry in self.sets]
        return np.array(middle).astype(np.int64)

    def located(self, name: str, which: NDArray[np.bool_] | None = None) -> Located:
        """Return the common error of the defocus by one spectrum, of all sets or of those of a mask."""
        profiles = np.stack([entry.fits[name].profile.deviance for entry in self.sets])
        weights = self.resampling.weights.numpy()
        if which is not None:
            profiles, weights = profiles[which], weights[:, which]
        return locate(self.relative, profiles, weights)

    def shows_defocus(self, located: Located) -> bool:
        """Whether the defocus can be told from one half the limit away, and from any other one."""
        return located.half <= self.limit / 2 and located.margin >= SEEN


def quantities(fitted: Fitted) -> tuple[Quantity, ...]:
    """Return all numbers of the measure.

    Parameters
    ----------
    fitted : Fitted

    Returns
    -------
    tuple of Quantity
    """
    found = [_common(fitted, "thon_error", "defocus error by Thon rings", _KINDS)]
    if CROSS["fake"] in fitted.spectra:
        label = "defocus error by the cross spectrum with sim"
        found.append(_common(fitted, "cross_error", label, (CROSS["fake"], CROSS["raw"])))
    found += [
        _over_sets(fitted, "thon_offset", "defocus less the metadata's, median", _offset, target=0.0),
        _over_sets(fitted, "thon_distance", "distance from the metadata's defocus, median", _distance),
        _less_raw(fitted),
        _over_sets(fitted, "thon_astigmatism", "error of the astigmatism, median", _astigmatism),
        _over_sets(fitted, "thon_contrast", "rings' share of the power", _contrast, every=True),
    ]
    return tuple(found)


def _offset(fit: SetFit) -> float:
    return fit.fit.offset


def _distance(fit: SetFit) -> float:
    return abs(fit.fit.offset)


def _astigmatism(fit: SetFit) -> float:
    return math.hypot(*fit.fit.astigmatism)


def _contrast(fit: SetFit) -> float:
    return fit.fit.explained.contrast


def _common(fitted: Fitted, key: str, label: str, names: Sequence[str]) -> Quantity:
    """Error in % that all sets have in common; `names` are the spectra of fake, raw and sim."""
    whole = [fitted.located(name).interval for name in names if name in fitted.spectra]
    bins: list[Interval | None] = []
    for number in range(fitted.pairs.bin_count):
        inside = fitted.bins == number
        part = fitted.located(names[0], inside) if inside.any() else None
        bins.append(part.interval if part is not None and fitted.shows_defocus(part) else None)
    floor, ceiling = ([*whole[1:], None, None])[:2]
    return Quantity(key, label, whole[0], floor, ceiling, unit="%", target=0.0, bins=tuple(bins))


def _over_sets(
    fitted: Fitted,
    key: str,
    label: str,
    value: Callable[[SetFit], float],
    *,
    target: float | None = None,
    every: bool = False,
) -> Quantity:
    """Return the median of a value over the sets, for fake, raw and sim.

    Only those sets count whose own rings tell the defocus, unless `every` one does.
    """
    values, counts = {}, []
    for kind in _KINDS:
        if kind not in fitted.spectra:
            continue
        fits = [entry.fits[kind] for entry in fitted.sets]
        chosen = [fit for fit in fits if every or fit.seen]
        counts.append(f"{len(chosen)} of {kind}")
        values[kind] = _median(fitted, [value(fit) for fit in chosen])
    note = "" if every else f"of the {len(fitted.sets)} sets, those whose own rings tell: {', '.join(counts)}"
    return Quantity(
        key, label, values["fake"], values.get("raw"), values.get("sim"),
        unit="" if every else "A", target=target, note=note,
    )  # fmt: skip


def _less_raw(fitted: Fitted) -> Quantity:
    """Defocus of fake less that of raw, in sets where both show it."""
    both = [(entry.fits["fake"], entry.fits["raw"]) for entry in fitted.sets]
    both = [(fake, raw) for fake, raw in both if fake.seen and raw.seen]
    found = _median(fitted, [_offset(fake) - _offset(raw) for fake, raw in both])
    note = f"of the {len(fitted.sets)} sets, those where both show it: {len(both)}"
    label = "defocus of fake less that of raw, median"
    return Quantity("thon_less_raw", label, found, unit="A", target=0.0, note=note)


def _median(fitted: Fitted, values: list[float]) -> Interval:
    """Median over some sets."""
    if len(values) < 2:
        return Interval(values[0] if values else math.nan, math.nan, math.nan)
    resampling = Resampling(len(values), len(fitted.resampling.weights))
    return resampling.of_median(values, np.arange(len(values)))


def rings_chart(fitted: Fitted) -> Chart:
    """Show the mean power spectra and the fits of the set whose rings show best in raw.

    Parameters
    ----------
    fitted : Fitted

    Returns
    -------
    Chart
    """
    shown = max(fitted.sets, key=lambda entry: entry.fits["raw"].margin)
    series = {}
    for kind in ("fake", "raw"):
        curves = shown.fits[kind].curves
        if curves is not None:
            frequency = tuple(curves.frequency.tolist())
            series[kind] = Series(frequency, tuple(curves.power.tolist()))
            series[f"{kind}, fitted"] = Series(frequency, tuple(curves.fitted.tolist()))
    title = f"Thon rings of {len(shown.rows)} images of {shown.defocus / 1e4:.2f} µm defocus"
    return Chart("rings", title, "spatial frequency (1/Å)", "mean power |F|²", series, log_y=True)


def defocus_chart(fitted: Fitted) -> Chart:
    """Show how far the defocus of each set is from the metadata's.

    Parameters
    ----------
    fitted : Fitted

    Returns
    -------
    Chart
    """
    series = {}
    names = [name for name in ("fake", "raw", "sim", CROSS["fake"]) if name in fitted.spectra]
    for name in names:
        rows = [(entry.defocus, entry.fits[name].fit) for entry in fitted.sets if entry.fits[name].seen]
        if not rows:
            continue
        at, middle = tuple(x for x, _ in rows), tuple(fit.offset for _, fit in rows)
        edges = [
            tuple(fit.offset + side * fit.error for _, fit in rows) for side in (-_TWO_SIGMA, _TWO_SIGMA)
        ]
        series[name] = Series(at, middle, *edges)
    return Chart(
        "defocus",
        "Defocus fitted to sets of images, less the metadata's",
        "defocus of the metadata (Å)",
        "fitted less metadata (Å)",
        series,
    )
