"""Is anything memorized? Whether fakes carry the noise of training images, of their own or of others.

Noise cannot be foreseen: what of a raw image's noise appears in a fake was learned by heart. On training
pairs it would be that of the fake's own raw image, on held-out ones that of any training image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import within
from cryoalign.evaluate.digits import fixed, interval_text
from cryoalign.evaluate.finding import (
    Answer,
    Chart,
    Finding,
    Quantity,
    Series,
    Verdict,
    by_key,
    decide,
    not_asked,
    together,
)
from cryoalign.evaluate.measures.memorization.copies import largest_correlations
from cryoalign.evaluate.measures.memorization.gap import gap_quantities
from cryoalign.evaluate.measures.memorization.part import read_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.memorization.copies import Largest
    from cryoalign.evaluate.measures.memorization.part import Part

MOST_GAP = 0.02
"""Largest correlation of noise that training pairs may have beyond held-out ones."""
MOST_COPIES = 0.02
"""Largest fraction of held-out fakes that may resemble a training image: chance gives 0.001."""
FEWEST_OTHERS = 20

_QUESTION = "Is anything memorized?"
_UNPAIRED = (
    "It compares what fakes share with their own raw images, of training pairs and of others, and there are "
    "none of these particles. Whether their noise is that of training images, others= tells."
)
_REMEDY = "give pairs that the generator was trained on (train.raw=, train.sim= and train.fake=)"


class MemorizationMeasure:
    """Compare training pairs with held-out ones, and held-out fakes with training images.

    Parameters
    ----------
    images : int
        Training pairs and held-out pairs at the most.
    candidates : int
        Training images at the most among which copies are sought.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "memorized"

    def __init__(self, images: int = 400, candidates: int = 2000) -> None:
        self.images = within("measure.memorized.images", images, 1, whole=True)
        self.candidates = within("measure.memorized.candidates", candidates, 1, whole=True)

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case
            With training pairs; without fakes of them only copies are sought.

        Returns
        -------
        Finding
            Without an answer, and with the reason, where there are no training pairs.
        """
        if not case.pairs.paired:
            return Finding(self.name, by_key([not_asked("memorized", _QUESTION, _UNPAIRED)]))
        train = case.train
        if (
            train is None
            or not {"raw", "sim"} <= train.kinds
            or not {"raw", "sim", "fake"} <= case.pairs.kinds
        ):
            return Finding(self.name, left_out=(f"Memory: {_REMEDY}.",))
        held = read_part(case.pairs, self.images, ("fake", "raw"), case)
        quantities, charts, left_out = [], [], []
        if "fake" in train.kinds:
            quantities += gap_quantities(case, read_part(train, self.images, ("fake", "raw"), case), held)
        else:
            left_out.append(f"The gap between training and held-out pairs: {_REMEDY}.")
        others = min(int((held.groups != group).sum()) for group in np.unique(held.groups))
        if others < FEWEST_OTHERS:
            left_out.append(
                f"Copies of training images: chance is told by {FEWEST_OTHERS} held-out raw images of"
                f" other groups, and there are {others}."
            )
        else:
            found = self._copies(case, held)
            quantities += _copy_quantities(case, found, held.units)
            charts.append(_chart(found))
        answers = (_answer(quantities),) if quantities else ()
        return Finding(self.name, by_key(answers), by_key(quantities), by_key(charts), tuple(left_out))

    def _copies(self, case: Case, held: Part) -> Largest:
        if case.train is None:
            raise ValueError("there are no training images")
        training = read_part(case.train, self.candidates, ("raw",), case)
        groups = torch.from_numpy(held.groups)
        return largest_correlations(
            held.noise["fake"], training.noise["raw"], held.noise["raw"], groups, groups
        )


def _copy_quantities(case: Case, found: Largest, units: NDArray[np.int64]) -> list[Quantity]:
    training, chance = found.training.numpy(), found.chance.numpy()
    mean = case.resampling.of_mean
    return [
        Quantity(
            "copy_excess",
            "largest correlation of a held-out fake's noise with training images, less chance",
            mean(training - chance, units),
            target=0.0,
        ),
        Quantity(
            "copy_correlation",
            "largest correlation of a held-out fake's noise with training images",
            mean(training, units),
            floor=mean(chance, units),
            note="floor: chance, with raw images of other groups that were not trained on",
        ),
        Quantity(
            "copied",
            "held-out fakes that resemble a training image",
            mean(training > found.alarm, units),
            floor=mean(chance > found.alarm, units),
            target=0.0,
            note=f"those with a correlation above {found.alarm:.3f}, which chance exceeds in one of 1,000",
        ),
    ]


def _answer(quantities: Sequence[Quantity]) -> Answer:
    limits = {"memory_gap": MOST_GAP, "copied": MOST_COPIES}
    of = {quantity.key: quantity.fake for quantity in quantities}
    verdicts = {key: decide(of[key], limit) for key, limit in limits.items() if key in of}
    text = {key: interval_text(value.value, value.low, value.high) for key, value in of.items()}
    sentences = []
    if "memory_gap" in of:
        sentences.append(
            f"The noise of fakes correlates with that of their own raw images by {text['memory_gap']} more on"
            f" training pairs than on held-out ones (up to {MOST_GAP:g} passes)."
        )
    if "copied" in of:
        share = fixed(100 * of["copied"].value, 1)
        sentences.append(
            f"{share} % of held-out fakes resemble a training image more than chance"
            f" allows; on average the largest correlation with one exceeds chance by {text['copy_excess']}."
        )
    shown = "copied" if verdicts.get("copied") is Verdict.FAIL else next(iter(verdicts))
    return Answer("memorized", _QUESTION, together(*verdicts.values()), " ".join(sentences), shown)


def _chart(found: Largest) -> Chart:
    """Draw the distribution of the largest correlations beside that of chance."""
    both = torch.cat([found.training, found.chance]).numpy()
    edges = np.linspace(both.min(), both.max() + 1e-6, 41)
    middle = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
    series = {}
    for name, values in (("fake", found.training), ("other raw", found.chance)):
        counts = np.histogram(values.numpy(), edges)[0] / len(values)
        series[name] = Series(middle, tuple(counts.tolist()))
    return Chart(
        "largest_correlations",
        "Copies of training images: held-out fakes against training images, and chance",
        "largest correlation of noise",
        "fraction of fakes",
        series,
    )
