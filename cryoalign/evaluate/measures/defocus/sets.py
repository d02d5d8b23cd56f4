"""Sets of images of like defocus, and the Thon rings of each: what the measure of the CTF is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cryoalign.data.groups import number_groups
from cryoalign.io.progress import progress_bar
from cryoalign.physics.conditions import conditions
from cryoalign.physics.ctf import electron_wavelength
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.thon import PhaseMoments, RingBins, RingRange, ring_range
from cryoalign.physics.thon_fit import CrossRings, PowerRings, Profile, RingFit, Rings, margin, refine, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.evaluate.stacks import Stacks
    from cryoalign.particles import Particles

_FEWEST_SETS = 8  # that are aimed at, if need be with fewer images each
_FEWEST_IMAGES = 20
_STEPS = 8  # of the grid for each ring
_FINER = 6  # times, next to the metadata's
_SPAN = 0.4  # of the defocus, either way
_MOST_STEPS = 200  # either way
FEWEST_RINGS = 0.5
"""Rings past the first zero of the CTF that have to lie within reach: up to the next crest."""

SEEN = 12.0
"""How much worse, in deviance, any other defocus has to be before rings count as seen: 3.5 sigma."""


@dataclass(frozen=True)
class Lens:
    """What the metadata say of the CTFs of some particles of like optics.

    Attributes
    ----------
    bins : RingBins
    moments : PhaseMoments
    defocus : float
        Mean of U and V over the particles, in A.
    """

    bins: RingBins
    moments: PhaseMoments
    defocus: float


def reach(particles: Particles, box: int, pixel_size: float) -> tuple[RingRange, float, float]:
    """Return where rings of some particles' mean CTF can be looked for.

    Parameters
    ----------
    particles : Particles
    box : int
    pixel_size : float
        In A.

    Returns
    -------
    limits : RingRange
    defocus : float
        Mean of U and V over the particles, in A.
    wavelength : float
        In A.
    """
    defocus = float(particles.defocus[:, :2].mean())
    voltage = torch.tensor(particles.optics_column("voltage").mean())
    wavelength = float(electron_wavelength(voltage))
    contrast = float(particles.optics_column("amplitude_contrast").mean())
    phase = math.asin(contrast) + math.radians(float(particles.phase_shift.mean()))
    limits = ring_range(box, pixel_size, defocus=defocus, wavelength=wavelength, phase=phase)
    return limits, defocus, wavelength


def lens(particles: Particles, box: int, pixel_size: float) -> Lens:
    """Gather what CTFs of some particles add up to.

    Parameters
    ----------
    particles : Particles
        Of one voltage and magnification, premultiplied or not.
    box : int
    pixel_size : float
        In A.

    Returns
    -------
    Lens
    """
    limits, defocus, wavelength = reach(particles, box, pixel_size)
    optics = conditions(particles, np.arange(len(particles)), "cpu")
    optics = replace(
        optics,
        pixel_size=torch.full_like(optics.pixel_size, pixel_size),
        scale=torch.ones_like(optics.scale),
    )
    magnification = None if optics.magnification is None else optics.magnification[0]
    bins = RingBins(box, pixel_size, limits, wavelength, magnification=magnification)
    even, _ = optics.aberrations(*optics.frequencies(box))
    advanced = replace(optics, phase_shift=optics.phase_shift + 90)
    moments = PhaseMoments.of(
        bins.take(optics.ctf(box, even)),
        bins.take(advanced.ctf(box, even)),
        premultiplied=bool(optics.premultiplied[0]),
    )
    return Lens(bins, moments, defocus)


def deal_sets(pairs: Stacks, sets: int, images: int, seed: int) -> list[NDArray[np.int64]]:
    """Merge groups of like defocus and optics to sets of images.

    Parameters
    ----------
    pairs : Stacks
    sets : int
        At the most; where there are more, those taken are spread over the defocus.
    images : int
        In a set, fewer where that gives fewer than eight sets; twice as many at the most.
    seed : int
        Which images of a large group are taken.

    Returns
    -------
    list of (m,) int64
        Rows of each set, by defocus.
    """
    rng = np.random.default_rng(seed)
    wanted = min(images, max(_FEWEST_IMAGES, len(pairs) // _FEWEST_SETS))
    kind = number_groups(_optics(pairs.particles))
    found: list[NDArray[np.int64]] = []
    for number in range(int(kind.max()) + 1):
        pending = np.empty(0, dtype=np.int64)
        for group in _by_defocus(pairs, np.flatnonzero(kind == number), rng):
            pending = np.concatenate([pending, group])
            if len(pending) >= wanted:
                pieces = len(pending) // wanted if len(pending) > 2 * wanted else 1
                found += np.array_split(pending, pieces)
                pending = pending[:0]
        if len(pending) >= _FEWEST_IMAGES or (len(pending) and not found):
            found.append(pending)
    chosen = np.linspace(0, len(found) - 1, min(sets, len(found))).round().astype(int)
    return [np.sort(found[place]) for place in chosen]


def _by_defocus(pairs: Stacks, rows: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the rows of each group, shuffled; the groups ordered by their mean defocus."""
    _, group, count = np.unique(pairs.groups[rows], return_inverse=True, return_counts=True)
    mean = np.bincount(group.reshape(-1), pairs.defocus[rows]) / count
    rank = mean.argsort().argsort()[group.reshape(-1)]
    order = rng.permutation(len(rows))
    order = order[rank[order].argsort(kind="stable")]
    return np.split(rows[order], np.flatnonzero(np.diff(rank[order])) + 1)


def _optics(particles: Particles) -> NDArray[np.float64]:
    """(n, 6) what has to be alike in a set."""
    columns = [particles.optics_column(name) for name in ("voltage", "premultiplied")]
    magnification = np.array([group.magnification for group in particles.optics])[particles.optics_index]
    return np.column_stack([*columns, magnification])


class RingCurves(NamedTuple):
    """Curves of a fit, a value a ring."""

    frequency: NDArray[np.float64]  # 1/A
    power: NDArray[np.float64]
    fitted: NDArray[np.float64]


@dataclass(frozen=True)
class SetFit:
    """The rings of one spectrum of one set.

    Attributes
    ----------
    profile : Profile
    fit : RingFit
    margin : float
        See `cryoalign.physics.thon_fit.margin`.
    curves : RingCurves, optional
        None for a cross spectrum.
    """

    profile: Profile
    fit: RingFit
    margin: float
    curves: RingCurves | None = None

    @property
    def seen(self) -> bool:
        """Whether the rings of this set alone tell the defocus."""
        return self.margin >= SEEN


@dataclass(frozen=True)
class SetRings:
    """All spectra of one set of images.

    Attributes
    ----------
    rows : (m,) int64
        Of the pairs.
    defocus : float
        Mean of the metadata's, in A.
    fits : dict of str to SetFit
        By spectrum: ``fake``, ``raw``, ``sim``; ``fake x sim`` and ``raw x sim`` for cross spectra.
    """

    rows: NDArray[np.int64]
    defocus: float
    fits: dict[str, SetFit]


def fit_sets(
    pairs: Stacks, chosen: list[NDArray[np.int64]], *, progress: bool
) -> tuple[list[SetRings], NDArray[np.float64]]:
    """Fit the rings of all sets.

    Parameters
    ----------
    pairs : Stacks
    chosen : list of (m,) int64
        Rows of each set.
    progress : bool

    Returns
    -------
    sets : list of SetRings
        Without those whose first zero is out of reach.
    relative : (O,) float64
        The grid of offsets, as fractions of each set's defocus.
    """
    box, pixel_size = pairs.box, pairs.pixel_size
    past = [reach(pairs.particles.take(rows), box, pixel_size)[0].past_zero for rows in chosen]
    usable = [rows for rows, rings in zip(chosen, past, strict=True) if rings >= FEWEST_RINGS]
    steps = int(np.clip(math.ceil(_SPAN * _STEPS * (max(past, default=0) + 1)), 10, _MOST_STEPS))
    relative = np.linspace(-_SPAN, _SPAN, 2 * steps + 1)
    finer = np.linspace(-_SPAN, _SPAN, 2 * _FINER + 1) / steps
    relative = np.unique(np.concatenate([relative, finer]).round(9))
    bar = progress_bar(usable, "fitting Thon rings", shown=progress)
    return [_fit_set(pairs, rows, relative) for rows in bar], relative


def _fit_set(pairs: Stacks, rows: NDArray[np.int64], relative: NDArray[np.float64]) -> SetRings:
    of_raw = lens(pairs.particles.take(rows), pairs.box, pairs.pixel_size)
    of_fake = of_raw
    if not pairs.paired:
        of_fake = lens(pairs.particles_of("fake").take(rows), pairs.box, pairs.pixel_size)
    kinds: list[str] = [kind for kind in ("fake", "raw", "sim") if kind in pairs.kinds]
    views = {kind: of_raw if kind == "raw" else of_fake for kind in kinds}
    spectra = {
        kind: view.bins.take(rfft2(pairs.images(kind, rows)).to(torch.complex128))
        for kind, view in views.items()
    }
    power = {kind: spectrum.abs().square().mean(0) for kind, spectrum in spectra.items()}
    fits: dict[str, SetFit] = {}
    for kind, view in views.items():
        rings = PowerRings(view.bins, view.moments, power[kind], len(rows))
        found = _fit(rings, relative * view.defocus)
        fits[kind] = replace(found, curves=_curves(view.bins, rings, found.fit))
    of_one_particle = kinds[:-1] if pairs.paired else ["fake"]
    for kind in of_one_particle if "sim" in kinds else ():
        view = views[kind]
        crossed = CrossRings(
            view.bins,
            view.moments,
            cross=(spectra[kind] * spectra["sim"].conj()).real.mean(0),
            power=power[kind],
            sim_power=power["sim"],
            images=len(rows),
        )
        fits[f"{kind} x sim"] = _fit(crossed, relative * view.defocus)
    return SetRings(rows, of_fake.defocus, fits)


def _fit(rings: Rings, offsets: NDArray[np.float64]) -> SetFit:
    profile = scan(rings, offsets)
    return SetFit(profile, refine(rings, profile), margin(offsets, profile.deviance))


def _curves(bins: RingBins, rings: PowerRings, fit: RingFit) -> RingCurves:
    level = bins.mean(rings.level).numpy()
    values = [bins.radius.numpy(), level * rings.power, level * fit.explained.model]
    _, ring = np.unique(bins.ring.numpy(), return_inverse=True)
    count = bins.count.numpy()
    pixels = np.bincount(ring, count)
    return RingCurves(*(np.bincount(ring, entry * count) / pixels for entry in values))
