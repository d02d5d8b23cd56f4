"""Can a classifier tell fake from raw? A classifier two-sample test on held-out groups.

A classifier learns to tell fake from raw on one half of the groups and is asked about the other half, and the
reverse; both images of a pair, and all images of a micrograph, lie in one half. If fake and raw have one
distribution, no classifier can do better than guess on images that it has not seen: its AUC is 0.5, whatever
it learned by heart (Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, arXiv:1610.06545).

Two floors stand beside it: raw against raw of the same groups, and raw of some groups against raw of others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError, choice, within
from cryoalign.evaluate.finding import Chart, Finding, Interval, Quantity, Series, by_key
from cryoalign.evaluate.measures.two_sample.answer import Judged, answer_of, hints
from cryoalign.evaluate.measures.two_sample.held_out import (
    NAMES,
    Side,
    cross_fit,
    held_out_auc,
    held_out_roc,
    two_folds,
)
from cryoalign.evaluate.measures.two_sample.other_groups import deal_groups
from cryoalign.evaluate.measures.two_sample.sides import read_sides, split_in_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.two_sample.held_out import Method, Rows

FEWEST_GROUPS = 4
FEWEST_PAIRS = 40
"""In each half: with fewer, neither does a classifier learn nor is its AUC known."""

_FEWEST_IN_BIN = 20  # pairs


_NO_SECOND_FLOOR = (
    "Raw of other groups in fake's place: that needs two groups and some 20 pairs in each half of the groups."
)


class TwoSampleMeasure:
    """Let a classifier on spectra and a small CNN tell fake from raw on held-out groups.

    The floor is raw against raw: the raw images of each group, dealt out to two classes at random. A second
    floor is raw of other groups in the fakes' place; a classifier that tells these is asked nothing about
    fakes, since groups differ by themselves. The ceiling is sim against raw, by the classifier on spectra.

    Parameters
    ----------
    images : int
        Pairs at the most.
    epochs : int
        Of the CNN.
    limit : float
        Largest AUC that passes. At 0.6 the classifier ranks three of five pairs rightly, where guessing ranks
        one of two.
    classifiers : str or sequence of str
        Which are asked: ``spectrum``, ``cnn``.

    Raises
    ------
    InputError
        If a setting cannot be used, there is no such classifier, or none is asked.
    """

    name = "two_sample"

    def __init__(
        self,
        images: int = 1000,
        epochs: int = 6,
        limit: float = 0.6,
        classifiers: str | Sequence[str] = tuple(NAMES),
    ) -> None:
        key = "measure.two_sample"
        self.images = within(f"{key}.images", images, 2 * FEWEST_PAIRS, whole=True)
        self.epochs = within(f"{key}.epochs", epochs, 1, whole=True)
        self.limit = within(f"{key}.limit", limit, 0.5, 1)
        key += ".classifiers"
        classifiers = [classifiers] if isinstance(classifiers, str) else classifiers
        if not classifiers:
            raise InputError(f"{key} is empty", remedy="leave two_sample out of measures= to ask nobody")
        wanted = [choice(key, name, NAMES) for name in classifiers]
        self.methods = [method for method in NAMES if method in wanted]

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Without an answer, and with the reason, where there are too few groups or pairs.
        """
        rows = case.pairs.choose(self.images, case.seed)
        groups = case.pairs.groups[rows]
        reason = _too_few(groups, case.seed)
        if reason is not None:
            return Finding(self.name, left_out=(f"Two-sample test: {reason}.",))
        sides = read_sides(case.pairs, rows, seed=case.seed, progress=case.progress, device=case.device)
        asked = "+".join(self.methods)
        settings = (self.name, asked, self.images, self.epochs, case.seed, case.draws)
        references = case.floors.find(settings, lambda: self._references(case, sides, groups))
        judged: list[Judged] = []
        chart = {"guessing": Series((0.0, 1.0), (0.0, 1.0))}
        for method in self.methods:
            quantity, curve = self._classify(case, method, sides["fake"], sides["raw"])
            floor, sim, groups_floor = (
                references.get(f"{method}_{kind}") for kind in ("raw", "sim", "groups")
            )
            quantity = replace(
                quantity,
                floor=None if floor is None else floor.fake,
                ceiling=None if sim is None else sim.fake,
                note=hints(quantity, floor),
            )
            judged.append(Judged(quantity, groups_floor))
            chart[NAMES[method]] = curve
        roc = Chart("two_sample_roc", "Telling fake from raw", "raw taken for fake", "fake recognized", chart)
        quantities = [entry.quantity for entry in judged]
        second = [entry.groups for entry in judged if entry.groups is not None]
        left_out = () if second else (_NO_SECOND_FLOOR,)
        return Finding(
            self.name,
            by_key([answer_of(judged, self.limit)]),
            by_key([*quantities, *second]),
            by_key([roc]),
            left_out,
        )

    def _references(self, case: Case, sides: dict[str, Side], groups: Rows) -> dict[str, Quantity]:
        """AUCs of raw against raw, twice, by both methods, and of sim against raw by the one on spectra."""
        raw, sim = sides["raw"], sides.get("sim")
        one, other = (raw.take(part) for part in split_in_two(groups, case.seed))
        found = {f"{method}_raw": self._classify(case, method, one, other)[0] for method in self.methods}
        dealt = deal_groups(groups, raw.fold, case.seed)
        if dealt is not None:
            one, other = (raw.take(part) for part in dealt)
            for method in self.methods:
                quantity = self._classify(case, method, one, other)[0]
                found[f"{method}_groups"] = replace(
                    quantity,
                    key=f"{quantity.key}_groups",
                    label=f"{quantity.label}, raw of other groups in fake's place",
                    lower_is_better=False,
                    bins=(),
                )
        if sim is not None and "spectrum" in self.methods:
            found["spectrum_sim"] = self._classify(case, "spectrum", sim, raw)[0]
        return found

    def _classify(self, case: Case, method: Method, fakes: Side, raws: Side) -> tuple[Quantity, Series]:
        """Cross-fit one method: its AUC, also by defocus bin, and its ROC curve."""
        scores = cross_fit(
            fakes,
            raws,
            method,
            epochs=self.epochs,
            seed=case.seed,
            threads=case.threads,
            progress=case.progress,
            device=case.device,
        )
        bins: list[Interval | None] = []
        if method == "spectrum":
            for number in range(case.pairs.bin_count):
                enough = (fakes.bin == number).sum() >= _FEWEST_IN_BIN
                bins.append(held_out_auc(fakes, raws, scores, case.resampling, number) if enough else None)
        quantity = Quantity(
            f"auc_{method}",
            f"AUC of {NAMES[method]}",
            held_out_auc(fakes, raws, scores, case.resampling),
            target=0.5,
            lower_is_better=True,
            bins=tuple(bins),
        )
        return quantity, held_out_roc(fakes, raws, scores)


def _too_few(groups: Rows, seed: int) -> str | None:
    """Return why images of these groups cannot be tested, None if they can."""
    count = len(np.unique(groups))
    if count < FEWEST_GROUPS:
        return f"it needs {FEWEST_GROUPS} groups, two to learn from and two to ask about, and got {count}"
    fewest = int(np.bincount(two_folds(groups, seed), minlength=2).min())
    if fewest < FEWEST_PAIRS:
        return (
            f"the smaller half of the groups holds {fewest} pairs, and it needs {FEWEST_PAIRS} in each half"
        )
    return None
