"""Can a classifier tell fake from raw? A classifier two-sample test on held-out groups.

A classifier learns to tell fake from raw on one half of the groups and is asked about the other half, and the
reverse; both images of a pair, and all images of a micrograph, lie in one half. If fake and raw have one
distribution, no classifier can do better than guess on images that it has not seen: its AUC is 0.5, whatever
it learned by heart (Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, arXiv:1610.06545).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

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
from cryoalign.evaluate.measures.two_sample.classifiers import spectral_features
from cryoalign.evaluate.measures.two_sample.held_out import (
    NAMES,
    Side,
    cross_fit,
    held_out_auc,
    held_out_roc,
    two_folds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.two_sample.held_out import Method, Rows
    from cryoalign.evaluate.stacks import Stacks

FEWEST_GROUPS = 4
FEWEST_PAIRS = 40
"""In each half: with fewer, neither does a classifier learn nor is its AUC known."""

_FEWEST_IN_BIN = 20  # pairs
_WINDOW = 64  # px, of what the CNN sees
_WINDOWS = 4  # of each image that is larger


class _Beside(NamedTuple):
    """What is the same for all fakes that are held against the same raw images."""

    made_of: tuple[Tensor, ...]
    floors: dict[Method, Quantity]
    ceiling: Interval | None


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
        self._beside: _Beside | None = None

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
        beside = self._beside = self._of_raw(case, sides, groups)
        quantities, chart = [], {"guessing": Series((0.0, 1.0), (0.0, 1.0))}
        for method in NAMES:
            quantity, curve = self._ask(case, method, sides["fake"], sides["raw"])
            floor = beside.floors[method]
            ceiling = beside.ceiling if method == "spectrum" else None
            quantities.append(
                replace(quantity, floor=floor.fake, ceiling=ceiling, note=hints(quantity, floor))
            )
            chart[NAMES[method]] = curve
        roc = Chart("two_sample_roc", "Telling fake from raw", "raw taken for fake", "fake recognized", chart)
        answer = self._answer(quantities)
        return Finding(self.name, by_key([answer]), by_key(quantities), by_key([roc]))

    def _of_raw(self, case: Case, sides: dict[str, Side], groups: Rows) -> _Beside:
        """Ask for floors and ceiling, unless they are known from other fakes of the same particles."""
        raw, sim = sides["raw"], sides.get("sim")
        weights = case.resampling.weights
        made_of = (
            raw.features,
            weights[:0] if sim is None else sim.features,
            weights,
            *(torch.from_numpy(facts) for facts in (groups, raw.fold, raw.unit)),
            torch.tensor(case.seed),
        )
        known = self._beside
        if known is not None and all(map(torch.equal, made_of, known.made_of)):
            return known
        one, other = (raw.take(part) for part in deal_in_two(groups, case.seed))
        floors = {method: self._ask(case, method, one, other)[0] for method in NAMES}
        ceiling = None if sim is None else self._ask(case, "spectrum", sim, raw)[0].fake
        return _Beside(made_of, floors, ceiling)

    def _ask(self, case: Case, method: Method, fakes: Side, raws: Side) -> tuple[Quantity, Series]:
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
        told = " and ".join(
            f"{name} with an AUC of {_words(quantity.fake)}"
            for name, quantity in zip(NAMES.values(), quantities, strict=True)
        )
        words = (
            f"On groups held out, {told} (0.5 is guessing, 1 always right; up to {self.limit:g} passes)."
            f" {' '.join(quantity.note for quantity in quantities if quantity.note)}"
        )
        beside = max(quantities, key=lambda quantity: quantity.fake.value).key
        return Answer(self.name, "Can a classifier tell fake from raw?", verdict, words.strip(), beside)


def _words(interval: Interval) -> str:
    return interval_text(interval.value, interval.low, interval.high)


def hints(fake: Quantity, floor: Quantity) -> str:
    """Describe what hints at a mistake of the test itself.

    Parameters
    ----------
    fake, floor : Quantity
        AUCs of fake against raw, and of raw against raw.

    Returns
    -------
    str
        Empty where nothing does.
    """
    said = []
    if fake.fake.high < 0.5:
        said.append(
            f"The {fake.label} lies below 0.5: by chance, once in 40 times, or because images of different"
            " groups are related (one micrograph under several names, the noise of one image in others)."
        )
    if not floor.fake.low <= 0.5 <= floor.fake.high:
        said.append(
            f"Raw against raw the {fake.label} is {_words(floor.fake)}, where 0.5 is expected: chance does"
            " that once in 20 times; else the intervals are too narrow for so few groups."
        )
    return " ".join(said)


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


def deal_in_two(groups: Rows, seed: int) -> tuple[Rows, Rows]:
    """Deal the images of each group out to two classes at random, as evenly as can be.

    Parameters
    ----------
    groups : (n,) int64
    seed : int

    Returns
    -------
    one, other : int64
        Rows, none of them in both.
    """
    order = np.lexsort((np.random.default_rng([seed, 2]).random(len(groups)), groups))
    return order[::2], order[1::2]


def read_sides(pairs: Stacks, rows: Rows, *, seed: int, progress: bool = False) -> dict[str, Side]:
    """Read what the classifiers see of fake, raw and, where there is one, sim.

    Images of more than 64 px are shown to the CNN by four windows of 64 px at random places, the same for
    both images of a pair, so that it sees the highest frequencies and memory does not grow with the box.

    Parameters
    ----------
    pairs : Stacks
    rows : (n,) int64
    seed : int
        Of the folds and the windows.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of str to Side
    """
    kinds = [kind for kind in ("fake", "raw", "sim") if kind in pairs.kinds]
    count = 1 if pairs.box <= _WINDOW else _WINDOWS
    free = max(pairs.box - _WINDOW, 0) + 1
    corners = np.random.default_rng([seed, 3]).integers(0, free, (len(rows), count, 2))
    features: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    windows: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    start = 0
    for part, images in pairs.batches(kinds, rows=rows, label="two-sample test: reading", progress=progress):
        for kind in kinds:
            features[kind].append(spectral_features(images[kind]))
            if kind != "sim":
                windows[kind].append(_windows(images[kind], corners[start : start + len(part)]))
        start += len(part)
    facts = (two_folds(pairs.groups[rows], seed), pairs.units[rows], pairs.bins[rows])
    return {
        kind: Side(
            torch.cat(features[kind]),
            torch.cat(windows[kind]) if windows[kind] else torch.empty(len(rows), 0),
            *facts,
        )
        for kind in kinds
    }


def _windows(images: Tensor, corners: NDArray[np.int64]) -> Tensor:
    """Cut (B, W, S, S) windows out of (B, N, N) images."""
    return torch.stack(
        [
            torch.stack([image[y : y + _WINDOW, x : x + _WINDOW] for y, x in places.tolist()])
            for image, places in zip(images, corners, strict=True)
        ]
    )
