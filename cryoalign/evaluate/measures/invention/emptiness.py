"""Fakes of sims that show no particle: whether they look like one, or like each other.

Orientations are drawn, not aligned: aligned noise looks like its reference (Henderson 2013,
doi:10.1073/pnas.1314449110). Chance is what images give whose signs are random, unit by unit, which keeps
their noise and its spectrum as they are (Winkler et al. 2014, doi:10.1016/j.neuroimage.2014.01.060).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from cryoalign.data.groups import number_groups
from cryoalign.evaluate.finding import Interval
from cryoalign.evaluate.measures.reference import Views, centred_spectra, small_pixel, whitening
from cryoalign.evaluate.resampling import TAILS, Resampling, deal_units
from cryoalign.physics.half_plane import half_plane, product, squared
from cryoalign.physics.mask import soft_circle
from cryoalign.physics.reconstruction import Reconstruction
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.reference import Reference
    from cryoalign.evaluate.stacks import Probe

FEWEST = 20
_RADIUS, _EDGE = 1.0, 0.1  # of the circle that is looked at, and the width of its edge, in half boxes
_BATCH = 64
_SUPPORT = 0.1  # of the map's maximum: where its density is taken to begin


@dataclass(frozen=True)
class Yardstick:
    """What a particle looks like in raw images: the unit of all that is found elsewhere.

    Attributes
    ----------
    weight : (N, N // 2 + 1) tensor
        One over raw's power, ring by ring, times how often an entry stands in the full plane.
    contrast : float
        Of the views of the reference in raw images, by least squares with these weights.
    power : float
        Mean weighted power of a view with that contrast.
    """

    weight: Tensor
    contrast: float
    power: float


@dataclass(frozen=True)
class Likeness:
    """What is in some images.

    Attributes
    ----------
    particle : Interval
        Contrast of the view that is expected of an image, in units of that in raw images.
    common : Interval
        Mean product of two images, that is the power of what is the same in all, in units of the power that
        the particle has in raw images.
    map : Interval
        Correlation of the map that is made of them with one that is made of the expected views, inside the
        particle.
    chance : dict of str to Interval
        What these three are if the sign of each unit's images is random: 95 % of such values about their
        mean.
    count : int
        Images.
    """

    particle: Interval
    common: Interval
    map: Interval
    chance: dict[str, Interval]
    count: int


@dataclass(frozen=True)
class _Set:
    """Images at a small box with what they are held against."""

    spectra: Tensor
    templates: Tensor
    views: Views
    units: NDArray[np.int64]


def of_raw(case: Case, reference: Reference, most: int, box: int) -> tuple[Yardstick, Likeness]:
    """Hold raw images against the views that they should show: the yardstick, and themselves by it.

    Parameters
    ----------
    case : Case
    reference : Reference
        For images of `box`.
    most : int
        Images, at the most.
    box : int
        Small box in px.

    Returns
    -------
    Yardstick
    Likeness
        Its `particle` is 1, with an interval.
    """
    pairs = case.pairs
    rows = pairs.choose(most, case.seed)
    views = Views.of(pairs.particles, rows, box, small_pixel(pairs, box))
    spectra = _spectra(partial(pairs.images, "raw"), rows, views, "reading raw", case)
    templates = reference.projections(views)
    weight = whitening(spectra) * half_plane(box).weight.float()
    power = float(_power(templates, weight).sum())
    contrast = float((product(spectra, templates) * weight).sum()) / power
    yardstick = Yardstick(weight, contrast, contrast**2 * power / len(rows))
    units = number_groups(pairs.units[rows])
    return yardstick, _likeness(_Set(spectra, templates, views, units), yardstick, case)


def of_empties(
    case: Case, probe: Probe, reference: Reference, yardstick: Yardstick, *, most: int, box: int
) -> Likeness:
    """Hold fakes of empty sims against views in random orientations.

    Nothing has a place in an empty image, so that no shift is undone: what a generator always puts into one
    place has to stay there.

    Parameters
    ----------
    case : Case
    probe : Probe
        The fakes, 20 or more.
    reference : Reference
        For images of `box`.
    yardstick : Yardstick
    most : int
        Images, at the most.
    box : int
        Small box in px.

    Returns
    -------
    Likeness
    """
    rows = np.sort(np.random.default_rng([case.seed, 3]).permutation(len(probe))[:most]).astype(np.int64)
    views = Views.of(probe.particles, rows, box, probe.stack.pixel_size * probe.stack.box / box)
    views = replace(
        views, rotations=_random_rotations(len(rows), case.seed), move=torch.zeros_like(views.move)
    )
    spectra = _spectra(partial(_on_scale, case, probe), rows, views, "reading fakes of empty sims", case)
    units, _ = deal_units(np.arange(len(rows)), case.seed)
    return _likeness(_Set(spectra, reference.projections(views), views, units), yardstick, case)


def _on_scale(case: Case, probe: Probe, rows: NDArray[np.int64]) -> Tensor:
    """Read fakes of empty sims, and treat them as those of the pairs are treated."""
    images = (case.pairs.scaled("fake", image.numpy()) for image in probe.images(rows))
    return torch.from_numpy(np.stack(list(images)))


def _spectra(
    read: Callable[[NDArray[np.int64]], Tensor],
    rows: NDArray[np.int64],
    views: Views,
    label: str,
    case: Case,
) -> Tensor:
    return centred_spectra(
        lambda part: _encircled(read(part)), rows, views, label=label, progress=case.progress
    )


def _encircled(images: Tensor) -> Tensor:
    """Keep what is inside a circle with a raised-cosine edge, where the mean is taken away."""
    mask = soft_circle(images.shape[-1], _RADIUS, _EDGE)
    mean = (images * mask).sum((-2, -1), keepdim=True) / mask.sum()
    return (images - mean) * mask


def _random_rotations(count: int, seed: int) -> Tensor:
    """(count, 3, 3) orientations that are spread evenly."""
    rng = np.random.default_rng([seed, 7])
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, count)))
    turn = rng.uniform(-180, 180, (count, 2))
    return euler_to_matrix(torch.from_numpy(np.column_stack([turn[:, 0], tilt, turn[:, 1]]))).float()


def _likeness(images: _Set, yardstick: Yardstick, case: Case) -> Likeness:
    units = int(images.units.max()) + 1
    unit = torch.from_numpy(images.units)
    generator = torch.Generator().manual_seed(case.seed)
    factors = {
        "whole": torch.ones(1, units, dtype=torch.float64),
        "drawn": Resampling(units, case.draws, case.seed).weights,
        "signs": torch.randint(0, 2, (case.draws, units), generator=generator).double() * 2 - 1,
    }
    weight = yardstick.weight
    cross = _by_unit((product(images.spectra, images.templates) * weight).sum((1, 2)), unit, units)
    power = _by_unit(_power(images.templates, weight), unit, units) * yardstick.contrast
    sums = _by_unit(torch.view_as_real(images.spectra * weight.sqrt()).flatten(1), unit, units)
    count = torch.bincount(unit, minlength=units).double()
    shares, expected = _maps(images, unit, units)
    gram, along = shares @ shares.T, shares @ expected
    found = {
        "particle": {kind: (f @ cross) / (f.abs() @ power) for kind, f in factors.items()},
        "common": {kind: _common(f, sums @ sums.T, count) / yardstick.power for kind, f in factors.items()},
        "map": {kind: _correlation(f, gram, along) for kind, f in factors.items()},
    }
    return Likeness(
        **{name: _percentiles(v["drawn"], float(v["whole"])) for name, v in found.items()},
        chance={name: _percentiles(v["signs"]) for name, v in found.items()},
        count=len(images.units),
    )


def _maps(images: _Set, unit: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Return each unit's share of the images' map, and the map of the expected views, inside the particle.

    Both are made of the same CTFs and orientations, so that they lack and damp the same.

    Returns
    -------
    shares : (units, voxels) float64 tensor
        Each with mean 0.
    expected : (voxels,) float64 tensor
        With mean 0 and norm 1.
    """
    box = images.spectra.shape[-2]
    seen, wanted = Reconstruction(box, units=units), Reconstruction(box)
    for start in range(0, len(unit), _BATCH):
        part = slice(start, start + _BATCH)
        few = images.views.part(start, start + _BATCH)
        geometry = few.transfers, few.rotations
        seen.add(images.spectra[part], *geometry, unit[part])
        wanted.add(images.templates[part], *geometry)
    density = wanted.density()
    inside = F.max_pool3d((density > _SUPPORT * density.max()).float()[None, None], 3, 1, 1)[0, 0] > 0
    shares, expected = seen.shares()[:, inside].double(), density[inside].double()
    shares, expected = shares - shares.mean(1, keepdim=True), expected - expected.mean()
    return shares, expected / torch.linalg.vector_norm(expected)


def _by_unit(values: Tensor, unit: Tensor, units: int) -> Tensor:
    """Add up (n, ...) values over the images of each unit, in float64."""
    return torch.zeros(units, *values.shape[1:], dtype=torch.float64).index_add_(0, unit, values.double())


def _power(spectra: Tensor, weight: Tensor) -> Tensor:
    """(n,) weighted power of half planes."""
    return (squared(spectra) * weight).sum((1, 2))


def _common(factors: Tensor, gram: Tensor, count: Tensor) -> Tensor:
    """Average product of images of different units, for (b, units) factors on the units."""
    within = factors.square() @ gram.diagonal()
    pairs = (factors.abs() @ count).square() - factors.square() @ count.square()
    return (((factors @ gram) * factors).sum(1) - within) / pairs


def _correlation(factors: Tensor, gram: Tensor, along: Tensor) -> Tensor:
    """Correlation of the maps that (b, units) factors on the shares make with the expected one."""
    return (factors @ along) / ((factors @ gram) * factors).sum(1).clamp_min(1e-300).sqrt()


def _percentiles(drawn: Tensor, value: float | None = None) -> Interval:
    """Return the middle 95 % of replicates, stretched to hold the value; their mean if there is no value."""
    low, high = (float(torch.quantile(drawn, tail)) for tail in TAILS)
    if value is None:
        return Interval(float(drawn.mean()), low, high)
    return Interval(value, min(low, value), max(high, value))
