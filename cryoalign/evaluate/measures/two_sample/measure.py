"""Can a classifier tell fake from raw? A classifier two-sample test on held-out groups.

A classifier learns to tell fake from raw on one half of the groups and is asked about the other half, and the
reverse; both images of a pair, and all images of a micrograph, lie in one half. If fake and raw have one
distribution, no classifier can do better than guess on images that it has not seen: its AUC is 0.5, whatever
it learned by heart (Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, arXiv:1610.06545).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.evaluate.digits import interval_text
from cryoalign.evaluate.finding import (
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    by_key,
    decide,
    together,
)
from cryoalign.evaluate.measures.two_sample.held_out import (
    NAMES,
    Side,
    cross_fit,
    held_out_auc,
    held_out_roc,
    two_folds,
)
from cryoalign.evaluate.measures.two_sample.sides import read_sides, split_in_two

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.two_sample.held_out import Method, Rows

FEWEST_GROUPS = 4
FEWEST_PAIRS = 40
"""In each half: with fewer, neither does a classifier learn nor is its AUC known."""

_FEWEST_IN_BIN = 20  # pairs


class TwoSampleMeasure:
    """Let a classifier on spectra and a small CNN tell fake from raw on held-out groups.

    The floor is raw against raw: the raw images of each group, dealt out to two classes at random. The
    ceiling is sim against raw, by the classifier on spectra.

    Parameters
    ----------
    images : int
        Pairs at the most.
    epochs : int
        Of the CNN.
    limit : float
        Largest AUC that passes. At 0.6 the classifier ranks three of five pairs rightly, where guessing ranks
        one of two.
    """

    name = "two_sample"

    def __init__(self, images: int = 1000, epochs: int = 6, limit: float = 0.6) -> None:
        self.images, self.epochs, self.limit = images, epochs, limit

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
        sides = read_sides(case.pairs, rows, seed=case.seed, progress=case.progress)
        settings = (self.name, self.images, self.epochs, case.seed, case.draws)
        references = case.floors.find(settings, lambda: self._references(case, sides, groups))
        quantities, chart = [], {"guessing": Series((0.0, 1.0), (0.0, 1.0))}
        for method in NAMES:
            quantity, curve = self._classify(case, method, sides["fake"], sides["raw"])
            floor, sim = (references.get(f"{method}_{kind}") for kind in ("raw", "sim"))
            quantities.append(
                replace(
                    quantity,
                    floor=None if floor is None else floor.fake,
                    ceiling=None if sim is None else sim.fake,
                    note=hints(quantity, floor),
                )
            )
            chart[NAMES[method]] = curve
        roc = Chart("two_sample_roc", "Telling fake from raw", "raw taken for fake", "fake recognized", chart)
        answer = self._answer(quantities)
        return Finding(self.name, by_key([answer]), by_key(quantities), by_key([roc]))

    def _references(self, case: Case, sides: dict[str, Side], groups: Rows) -> dict[str, Quantity]:
        """AUCs of raw against raw by both methods, and of sim against raw by the one on spectra."""
        raw, sim = sides["raw"], sides.get("sim")
        one, other = (raw.take(part) for part in split_in_two(groups, case.seed))
        found = {f"{method}_raw": self._classify(case, method, one, other)[0] for method in NAMES}
        if sim is not None:
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

    def _answer(self, quantities: Sequence[Quantity]) -> Answer:
        verdict = together(*(decide(quantity.fake, self.limit) for quantity in quantities))
        aucs = " and ".join(
            f"{name} with an AUC of {_text(quantity.fake)}"
            for name, quantity in zip(NAMES.values(), quantities, strict=True)
        )
        text = (
            f"On groups held out, {aucs} (0.5 is guessing, 1 always right; up to {self.limit:g} passes)."
            f" {' '.join(quantity.note for quantity in quantities if quantity.note)}"
        )
        shown = max(quantities, key=lambda quantity: quantity.fake.value).key
        return Answer(self.name, "Can a classifier tell fake from raw?", verdict, text.strip(), shown)


def _text(interval: Interval) -> str:
    return interval_text(interval.value, interval.low, interval.high)


def hints(fake: Quantity, floor: Quantity | None) -> str:
    """Describe what hints at a mistake of the test itself.

    Parameters
    ----------
    fake : Quantity
        AUC of fake against raw.
    floor : Quantity or None
        That of raw against raw.

    Returns
    -------
    str
        Empty where nothing does.
    """
    sentences = []
    if fake.fake.high < 0.5:
        sentences.append(
            f"The {fake.label} lies below 0.5: by chance, once in 40 times, or because images of different"
            " groups are related (one micrograph under several names, the noise of one image in others)."
        )
    if floor is not None and not floor.fake.low <= 0.5 <= floor.fake.high:
        sentences.append(
            f"Raw against raw the {fake.label} is {_text(floor.fake)}, where 0.5 is expected: chance does"
            " that once in 20 times; else the intervals are too narrow for so few groups."
        )
    return " ".join(sentences)


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
