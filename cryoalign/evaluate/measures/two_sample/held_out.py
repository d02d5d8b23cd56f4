"""Scores of images that a classifier has not seen: folds of whole groups, cross-fitting, the AUC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from cryoalign.data.partition import partition
from cryoalign.evaluate.finding import Interval, Series
from cryoalign.evaluate.measures.two_sample.classifiers import score_by_cnn, score_by_spectrum
from cryoalign.io.progress import progress_bar
from cryoalign.physics.threads import side_by_side

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.resampling import Resampling

Rows: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
Method: TypeAlias = Literal["spectrum", "cnn"]

NAMES: dict[Method, str] = {"spectrum": "a classifier on spectra", "cnn": "a small CNN"}


@dataclass(frozen=True)
class Side:
    """Images of one class.

    Attributes
    ----------
    features : (n, F) float64 tensor
        Of their spectra.
    windows : (n, W, S, S) float32 tensor
        What the CNN sees; (n, 0) where it is not asked.
    fold, unit, bin : (n,) int64
        Half, resampling unit and defocus bin of each.
    """

    features: Tensor
    windows: Tensor
    fold: Rows
    unit: Rows
    bin: Rows

    def take(self, index: NDArray[np.int64]) -> Side:
        """Return some of the images."""
        rows = torch.from_numpy(index)
        return Side(
            self.features[rows], self.windows[rows], self.fold[index], self.unit[index], self.bin[index]
        )


def cross_fit(
    fakes: Side,
    raws: Side,
    method: Method,
    *,
    epochs: int = 6,
    seed: int = 0,
    threads: int = 1,
    progress: bool = False,
    device: str = "cpu",
) -> Scores:
    """Score every image by a classifier that was trained on the other fold.

    Parameters
    ----------
    fakes, raws : Side
    method : {"spectrum", "cnn"}
    epochs : int
        Of the CNN.
    seed : int
        Of the CNN.
    threads : int
        With two or more the folds are learned side by side.
    progress : bool
        Show a progress bar.
    device : str
        Where the CNN is trained.

    Returns
    -------
    of_fakes, of_raws : (n,) float64
        Scores, high for fake. Those of the two folds come from two classifiers and are not to be compared.
    """
    fold = torch.from_numpy(np.concatenate([fakes.fold, raws.fold]))
    is_fake = torch.arange(len(fold)) < len(fakes.fold)
    scores = torch.zeros(len(fold), dtype=torch.float64)
    name = "features" if method == "spectrum" else "windows"
    values = torch.cat([getattr(fakes, name), getattr(raws, name)])

    def score(number: int) -> Tensor:
        known = fold != number
        if method == "spectrum":
            return score_by_spectrum(values[known], is_fake[known], values[~known])
        return score_by_cnn(
            values[known], is_fake[known], values[~known], epochs=epochs, seed=seed + number, device=device
        )

    label = f"two-sample test: {NAMES[method]}"
    found = side_by_side(score, (0, 1), min(threads, 2))
    bar = progress_bar(found, label, shown=progress, total=2)
    for number, part in enumerate(bar):
        scores[fold == number] = part
    return scores[is_fake].numpy(), scores[~is_fake].numpy()


def held_out_auc(
    fakes: Side,
    raws: Side,
    scores: Scores,
    resampling: Resampling,
    number: int | None = None,
) -> Interval:
    """Return the AUC of held-out scores and its interval.

    The AUC is the fraction of pairs (a fake, a raw) of one fold in which the fake has the higher score, ties
    counting half. Which fraction of which pairs won is kept by unit of the fake and unit of the raw, so that
    the bootstrap over units is exact: a pair counts the product of its units' weights (Obuchowski 1997,
    doi:10.2307/2533958, on AUCs of clustered data).

    That holds the classifiers fixed. But where there is little to learn, what a linear classifier of one
    fold finds in the other is the product of both folds' chance differences, and so is what that of the
    other fold finds: they tell the same thing twice. The interval is therefore that of a single fold,
    sqrt(2) wider. (Without this, 84 % of the intervals hold 0.5 where fake and raw are alike, with it 94 %.)

    Parameters
    ----------
    fakes, raws : Side
    scores : two (n,) float64
        From `cross_fit`.
    resampling : Resampling
        Over the units.
    number : int, optional
        Of a defocus bin to which both are confined.

    Returns
    -------
    Interval
        NaN where there is no pair.
    """
    units = resampling.units
    won = torch.zeros(units, units, dtype=torch.float64)
    asked = torch.zeros(units, units, dtype=torch.float64)
    for fold in (0, 1):
        parts = []
        for side, score in zip((fakes, raws), scores, strict=True):
            chosen = (side.fold == fold) & (True if number is None else side.bin == number)
            member = torch.nn.functional.one_hot(torch.from_numpy(side.unit[chosen]), units).double()
            parts.append((torch.from_numpy(score[chosen]), member))
        (high, of_fakes), (low, of_raws) = parts
        sign = (high[:, None] - low[None, :]).sign()
        won += of_fakes.T @ ((1 + sign) / 2) @ of_raws
        asked += of_fakes.sum(0)[:, None] * of_raws.sum(0)[None, :]
    conditional = resampling.of(
        lambda a, b, weight: (a * weight).sum(-1) / (b * weight).sum(-1), won, asked, torch.eye(units)
    )
    return _as_of_one_fold(conditional)


def _as_of_one_fold(interval: Interval) -> Interval:
    """Widen the interval of an AUC by sqrt(2), to that of one fold."""
    below, above = (math.sqrt(2) * (end - interval.value) for end in (interval.low, interval.high))
    return Interval(interval.value, max(interval.value + below, 0.0), min(interval.value + above, 1.0))


def two_folds(groups: Rows, seed: int) -> Rows:
    """Deal whole groups out to two folds of like size.

    Parameters
    ----------
    groups : (n,) int64
    seed : int

    Returns
    -------
    (n,) int64, 0 or 1
    """
    dealt = partition(groups.astype(str), {"0": 0.5, "1": 0.5}, seed, what="group", file=Path())
    return dealt.astype(np.int64)


def held_out_roc(fakes: Side, raws: Side, scores: Scores) -> Series:
    """Return the ROC curve of held-out scores, the mean of those of the two folds.

    Parameters
    ----------
    fakes, raws : Side
    scores : two (n,) float64
        From `cross_fit`.

    Returns
    -------
    Series
        Fraction of fakes recognized by fraction of raws taken for fakes.
    """
    alarm = np.linspace(0, 1, 51)
    curves = []
    for fold in (0, 1):
        high, low = (
            np.sort(score[side.fold == fold]) for side, score in zip((fakes, raws), scores, strict=True)
        )
        curves.append(1 - np.searchsorted(high, np.quantile(low, 1 - alarm), side="left") / len(high))
    hit = np.mean(curves, axis=0)
    return Series(tuple(alarm.tolist()), tuple(hit.tolist()))
