"""Is anything invented: fakes of sims without a particle, and of sims of a map without one of its domains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.groups import number_groups
from cryoalign.errors import InputError, within
from cryoalign.evaluate.digits import fixed, interval_text, number
from cryoalign.evaluate.finding import Answer, Finding, Interval, Quantity, Verdict, by_key, decide, together
from cryoalign.evaluate.measures.invention.domain import Parts, Presence, presence
from cryoalign.evaluate.measures.invention.emptiness import FEWEST, Likeness, of_empties, of_raw
from cryoalign.evaluate.measures.reference import (
    SMALLEST_BOX,
    Views,
    centred_spectra,
    reference_for,
    small_pixel,
)
from cryoalign.evaluate.resampling import Resampling, deal_units

if TYPE_CHECKING:
    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.stacks import Probe

EMPTY = "Is a particle invented where there is none?"
DOMAIN = "Does a domain that is not in the sims stay away?"

_MATERIAL, _FAINT = 0.1, 0.05  # of the particle's contrast in raw: what is material, and negligible
_BLIND = 0.5  # of that contrast: where chance reaches as far, nothing can be told
_RETURNED, _EXCLUDED = 0.2, 0.5  # of the domain: what is material, and what has to be excluded


class InventionMeasure:
    """Look for a particle in fakes of empty sims, and for a domain in fakes of sims that lack it.

    Parameters
    ----------
    images : int
        Fakes of each sort, at the most.
    box : int
        Small box in px that images are cropped to.
    sims : int
        Sims that a reference is made of where none is given, at the most.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "invented"

    def __init__(self, images: int = 400, box: int = 32, sims: int = 1000) -> None:
        self.images = within("measure.invented.images", images, 1, whole=True)
        self.box = within("measure.invented.box", box, SMALLEST_BOX, whole=True)
        self.sims = within("measure.invented.sims", sims, 1, whole=True)

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case
            `empty` for the first question; `without_domain`, `domain` and `volume` for the second.

        Returns
        -------
        Finding
            Answers ``invented_empty`` and ``invented_domain``, as far as there is what they need.
        """
        parts = []
        for look in (self._empty, self._domain):
            try:
                parts.append(look(case))
            except InputError as error:  # of these images alone: the other question may still be answered
                parts.append(Finding(self.name, left_out=(str(error).replace("\n", ";"),)))
        return Finding(
            measure=self.name,
            answers=by_key(answer for part in parts for answer in part.answers.values()),
            quantities=by_key(quantity for part in parts for quantity in part.quantities.values()),
            left_out=tuple(reason for part in parts for reason in part.left_out),
        )

    def _empty(self, case: Case) -> Finding:
        probe = case.empty
        if probe is None or len(probe) < FEWEST:
            reason = (
                f"Whether a particle is invented where there is none was left out: it needs {FEWEST} or more "
                f"fakes of sims without a particle, and got {0 if probe is None else len(probe)}."
            )
            return Finding(self.name, left_out=(reason,))
        box = min(self.box, case.pairs.box, probe.stack.box)
        reference = reference_for(case, box, self.sims)
        yardstick, raw = of_raw(case, reference, self.images, box)
        empty = of_empties(case, probe, reference, yardstick, most=self.images, box=box)
        seen = yardstick.contrast > 0 and raw.particle.low > 0
        return Finding(
            self.name,
            answers=by_key([_empty_answer(empty, raw, seen=seen)]),
            quantities=by_key(_empty_quantities(empty, raw)),
        )

    def _domain(self, case: Case) -> Finding:
        if (
            case.without_domain is None
            or case.domain is None
            or case.volume is None
            or len(case.without_domain) < FEWEST
        ):
            reason = (
                "Whether a removed domain stays away was left out: it needs the reference map, the domain's "
                f"density on the same grid, and {FEWEST} or more fakes of sims of the map without it."
            )
            return Finding(self.name, left_out=(reason,))
        if case.domain.shape != case.volume.shape:
            reason = "Whether a removed domain stays away was left out: its density is not on the map's grid."
            return Finding(self.name, left_out=(reason,))
        voxel_size = case.voxel_size or case.pairs.pixel_size
        parts = Parts(case.volume - case.domain, case.domain, voxel_size)
        lacking = self._of_lacking(case, case.without_domain, parts)
        whole = {kind: self._of_pairs(case, kind, parts) for kind in ("raw", "fake")}
        return Finding(
            self.name,
            answers=by_key([_domain_answer(lacking, whole)]),
            quantities=by_key(_domain_quantities(lacking, whole)),
        )

    def _of_lacking(self, case: Case, probe: Probe, parts: Parts) -> Presence:
        """Look for the domain in fakes of sims that lack it."""
        box = min(self.box, probe.stack.box)
        order = np.random.default_rng([case.seed, 4]).permutation(len(probe))
        rows = np.sort(order[: self.images]).astype(np.int64)
        pixel_size = probe.stack.pixel_size * probe.stack.box / box
        views = Views.of(probe.particles, rows, box, pixel_size)
        label = "reading fakes without a domain"
        spectra = centred_spectra(probe.images, rows, views, label=label, progress=case.progress)
        groups = number_groups(probe.particles.micrograph[rows])
        units, _ = deal_units(groups, case.seed)
        resampling = Resampling(int(units.max()) + 1, case.draws, case.seed)
        return presence(spectra, views, units, parts, pixel_size=pixel_size, resampling=resampling)

    def _of_pairs(self, case: Case, kind: str, parts: Parts) -> Presence:
        """Look for the domain where it is, in images of the whole map."""
        pairs = case.pairs
        box = min(self.box, pairs.box)
        rows, pixel_size = pairs.choose(self.images, case.seed), small_pixel(pairs, box)
        views = Views.of(pairs.particles_of(kind), rows, box, pixel_size)
        label = f"reading {kind} with the domain"
        spectra = centred_spectra(
            partial(pairs.images, kind), rows, views, label=label, progress=case.progress
        )
        units = pairs.units[rows]
        return presence(spectra, views, units, parts, pixel_size=pixel_size, resampling=case.resampling)


def _empty_answer(empty: Likeness, raw: Likeness, *, seen: bool) -> Answer:
    """Hold what empties show against chance and against what raw images show of the particle."""
    if not seen:
        text = "Raw images do not show the reference at their poses, so that nothing can be compared with it."
        return Answer("invented_empty", EMPTY, Verdict.UNDECIDED, text, "empty_particle")
    chance = empty.chance
    material = {
        "particle": _MATERIAL,
        "common": _MATERIAL**2,
        "map": _MATERIAL * max(raw.map.value, 0.0),
    }
    verdicts = {
        name: decide(getattr(empty, name), chance[name].high + least) for name, least in material.items()
    }
    if max(empty.common.value, empty.particle.value**2) < _FAINT**2:
        del verdicts["map"]  # a map brings out what is far too faint to matter in an image
    verdict = together(*verdicts.values())
    strength = fixed(100 * max(empty.common.value, 0.0) ** 0.5, 0)
    text = (
        f"At random poses, {empty.count} fakes of empty sims show {_text(empty.particle)} of the contrast "
        f"that the particle has in raw images (by chance up to {number(chance['particle'].high, 2)}); their "
        f"map correlates with the reference by {_text(empty.map)} (by chance up to "
        f"{number(chance['map'].high, 2)}; a map of raw images {number(raw.map.value, 2)}). "
    )
    if verdict is not Verdict.FAIL and chance["particle"].high > _BLIND:
        text += "Half a particle would not stand out from chance among so few."
        return Answer("invented_empty", EMPTY, Verdict.UNDECIDED, text, "empty_particle")
    if verdicts["common"] is Verdict.FAIL:
        text += f"All have something in common, {strength} % as strong as the particle in raw images."
    elif verdicts["common"] is Verdict.PASS:
        text += "They have nothing in common that would matter."
    return Answer("invented_empty", EMPTY, verdict, text.strip(), "empty_particle")


def _text(value: Interval) -> str:
    return interval_text(value.value, value.low, value.high)


def _empty_quantities(empty: Likeness, raw: Likeness) -> tuple[Quantity, ...]:
    labels = {
        "particle": "particle in fakes of empty sims, at random poses",
        "common": "power of what fakes of empty sims have in common",
        "map": "correlation of their map with the reference",
    }
    return tuple(
        Quantity(
            key=f"empty_{name}",
            label=label,
            fake=getattr(empty, name),
            floor=empty.chance[name],
            ceiling=getattr(raw, name),
            target=0.0,
            note="floor: 95 % of what random signs give; ceiling: raw images at their poses"
            + ("" if name == "map" else "; the particle in raw images is 1"),
        )
        for name, label in labels.items()
    )


def _domain_answer(lacking: Presence, whole: dict[str, Presence]) -> Answer:
    """Hold the domain's amplitude in fakes of sims that lack it against none and all of it."""
    found, raw = lacking.images, whole["raw"].images
    verdict = decide(found, _RETURNED)
    text = (
        f"Fakes of {lacking.count} sims without the domain show {_text(found)} of its contrast, their map "
        f"{_text(lacking.map)}; 0 is none, 1 all of it. Raw images, which have it, show {_text(raw)}."
    )
    if verdict is Verdict.PASS and not found.high < _EXCLUDED:
        verdict = Verdict.UNDECIDED
        text += " That half of it comes back is not excluded by so few, or so noisy images."
    return Answer("invented_domain", DOMAIN, verdict, text, "domain_returned")


def _domain_quantities(lacking: Presence, whole: dict[str, Presence]) -> tuple[Quantity, ...]:
    note = "0: it stays away, 1: it is invented in full; ceiling: raw, which has it"
    of_fakes = whole["fake"]
    return (
        Quantity(
            "domain_returned",
            "removed domain, in fakes",
            lacking.images,
            None,
            whole["raw"].images,
            target=0.0,
            note=note,
        ),
        Quantity(
            "domain_returned_map",
            "removed domain, in their map",
            lacking.map,
            None,
            whole["raw"].map,
            target=0.0,
            note=note,
        ),
        Quantity(
            "domain_kept",
            "the same domain in fakes of whole sims",
            of_fakes.images,
            whole["raw"].images,
            target=1.0,
            note="floor: raw",
        ),
    )
