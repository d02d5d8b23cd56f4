"""Fakes beside raw images of other particles of like conditions: micrograph, optics, dose, defocus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.groups import number_groups
from cryoalign.data.partners import partners_of_like_defocus
from cryoalign.io.simulated import CS_MICROGRAPH, MEASURED_MICROGRAPH, simulated_uids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Optics, Particles

#: Largest difference of defocus in A between a fake and the raw image that it stands beside.
MOST_DIFFERENCE = 500.0

_DOSE = "rlnMicrographPreExposure"
_FEWEST_INSIDE = 0.5  # of what could be matched: with fewer, micrographs are not looked at
_PARTNERS = 3  # a particle and two others


@dataclass(frozen=True)
class Matched:
    """Rows of fakes and of raw images that stand beside each other, each once.

    Attributes
    ----------
    fake, raw : (m,) int64
        0-based rows.
    groups : (m,) str
        Group of each: that of the raw image.
    words : str
        How they were matched, a sentence for readers.
    """

    fake: NDArray[np.int64]
    raw: NDArray[np.int64]
    groups: NDArray[np.str_]
    words: str


def of_measured_micrographs(fakes: Particles) -> Particles:
    """Put new particles into the measured micrographs that they have their conditions from.

    Parameters
    ----------
    fakes : Particles

    Returns
    -------
    Particles
        As they are where they name none.
    """
    column = next((name for name in (MEASURED_MICROGRAPH, CS_MICROGRAPH) if name in fakes.table), None)
    if column is None or simulated_uids(fakes) is None:
        return fakes
    return replace(fakes, micrograph=np.array(fakes.table[column].astype("str").to_list(), dtype=np.str_))


def match_conditions(
    fakes: Particles, raw: Particles, fake_groups: NDArray[np.str_], raw_groups: NDArray[np.str_]
) -> Matched:
    """Put beside each fake a raw image of its group, optics group and dose, and of like defocus.

    Each stands in one pair at most, and pairs whose defocus differs by more than 500 A are left out. Where
    that leaves less than half of what could be matched, as with fakes whose defocus was drawn from a range,
    or that were made like other micrographs, groups are not looked at.

    Parameters
    ----------
    fakes, raw : Particles
    fake_groups, raw_groups : (n,) and (m,) str
        Group of each, for fakes the measured one that they have their conditions from.

    Returns
    -------
    Matched
    """
    settings = _settings_of_both(fakes, raw)
    joined = [
        _joined(group, setting) for group, setting in zip((fake_groups, raw_groups), settings, strict=True)
    ]
    within = _match(fakes, raw, joined[0], joined[1])
    found, by = within, "micrograph, optics group, dose and defocus"
    if len(within[0]) < _FEWEST_INSIDE * min(len(fakes), len(raw)):
        anywhere = _match(fakes, raw, *settings)
        if len(anywhere[0]) > len(within[0]):
            found, by = anywhere, "optics group, dose and defocus, of whatever micrograph"
    of_fakes, of_raw = found
    apart = np.abs(fakes.mean_defocus[of_fakes] - raw.mean_defocus[of_raw])
    words = (
        f"{len(of_fakes)} fakes stand beside as many raw images of other particles, matched by {by} "
        f"(the median difference of defocus is {np.median(apart) if len(apart) else np.nan:.0f} A); "
        f"{len(fakes) - len(of_fakes)} fakes and {len(raw) - len(of_raw)} raw images without a counterpart "
        "were left out."
    )
    return Matched(of_fakes, of_raw, raw_groups[of_raw], words)


def partners_of_like_conditions(
    particles: Particles, group: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Find for each particle two others of like defocus, and of its optics group and dose where there are.

    Parameters
    ----------
    particles : Particles
    group : (n,) int64
    seed : int

    Returns
    -------
    (n, 2) int64
        See `cryoalign.data.partners.partners_of_like_defocus`.
    """
    defocus = particles.mean_defocus
    found = partners_of_like_defocus(defocus, group, seed)
    cell = number_groups(_settings(particles, by_name=True, dose=_DOSE in particles.table))
    for number in range(int(cell.max()) + 1):
        inside = np.flatnonzero(cell == number)
        if _PARTNERS <= len(inside) < len(cell):
            found[inside] = inside[partners_of_like_defocus(defocus[inside], group[inside], seed)]
    return found


def _settings_of_both(fakes: Particles, raw: Particles) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Optics group and dose of each, told by what both tables know."""
    names = [
        {entry.optics[number].name for number in np.unique(entry.optics_index)} for entry in (fakes, raw)
    ]
    by_name = names[0] <= names[1]
    dose = _DOSE in fakes.table and _DOSE in raw.table
    return _settings(fakes, by_name=by_name, dose=dose), _settings(raw, by_name=by_name, dose=dose)


def _settings(particles: Particles, *, by_name: bool, dose: bool) -> NDArray[np.str_]:
    """(n,) optics group, by its name or its lens, and dose of each particle, as one word."""
    words = np.array([group.name if by_name else _lens(group) for group in particles.optics])
    words = words[particles.optics_index]
    if not dose:
        return words
    return _joined(words, np.array([f"{float(value):.2f}" for value in particles.table[_DOSE]]))


def _lens(group: Optics) -> str:
    numbers = (group.voltage, group.spherical_aberration, group.amplitude_contrast, group.premultiplied)
    return " ".join(f"{number:g}" for number in numbers)


def _joined(one: NDArray[np.str_], other: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array([f"{a}\n{b}" for a, b in zip(one, other, strict=True)], dtype=np.str_)


def _match(
    fakes: Particles, raw: Particles, of_fakes: NDArray[np.str_], of_raw: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match by defocus within cells of one name, and leave out what is not alike."""
    cell = number_groups(np.concatenate([of_fakes, of_raw]))
    sides = []
    for numbers, table in ((cell[: len(fakes)], fakes), (cell[len(fakes) :], raw)):
        order = np.lexsort((table.mean_defocus, numbers))
        sides.append((order, np.searchsorted(numbers[order], np.arange(int(cell.max()) + 2))))
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for number in range(int(cell.max()) + 1):
        one, other = (order[starts[number] : starts[number + 1]] for order, starts in sides)
        if not len(one) or not len(other):
            continue
        if len(one) <= len(other):
            other = other[_nearest(fakes.mean_defocus[one], raw.mean_defocus[other])]
        else:
            one = one[_nearest(raw.mean_defocus[other], fakes.mean_defocus[one])]
        alike = np.abs(fakes.mean_defocus[one] - raw.mean_defocus[other]) <= MOST_DIFFERENCE
        pairs.append((one[alike], other[alike]))
    first, second = (
        np.concatenate([np.empty(0, np.int64), *parts])
        for parts in (zip(*pairs, strict=True) if pairs else ((), ()))
    )
    order = np.argsort(first)
    return first[order], second[order]


def _nearest(few: NDArray[np.float64], many: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose for each of some ascending numbers one near it of at least as many others, each once."""
    step = np.arange(len(few))
    nearest = np.searchsorted((many[1:] + many[:-1]) / 2, few)
    chosen: NDArray[np.int64] = np.minimum(np.maximum.accumulate(nearest - step), len(many) - len(few)) + step
    return chosen
