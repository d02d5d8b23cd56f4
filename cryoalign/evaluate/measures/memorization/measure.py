"""Is anything memorized? Whether fakes carry the noise of training images, of their own or of others.

Noise cannot be foreseen: what of a raw image's noise appears in a fake was learned by heart. On training
pairs it would be that of the fake's own raw image, on held-out ones that of any training image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.evaluate.digits import fixed, interval_text
from cryoalign.evaluate.finding import (
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    Verdict,
    by_key,
    decide,
    together,
)
from cryoalign.evaluate.measures.memorization.copies import largest_correlations, whitened_residuals
from cryoalign.evaluate.resampling import Resampling
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.memorization.copies import Largest
    from cryoalign.evaluate.stacks import Stacks

MOST_GAP = 0.02
"""Largest correlation of noise that training pairs may have beyond held-out ones."""
MOST_COPIES = 0.02
"""Largest fraction of held-out fakes that may resemble a training image: chance gives 0.001."""
FEWEST_OTHERS = 20

_LARGEST_BOX = 64  # px: larger images are cropped to it in Fourier space
_GIVE = "give pairs that the generator was trained on (train.raw=, train.sim= and train.fake=)"


@dataclass(frozen=True)
class _Part:
    """What is needed of one part: the noise of its images, and distances of the images to raw."""

    noise: dict[str, Tensor]  # kind: (n, N, N) float32
    distance: dict[str, NDArray[np.float64]]  # kind: (n, 2), RPSD L1 and pixel L1
    units: NDArray[np.int64]
    groups: NDArray[np.int64]


class MemorizationMeasure:
    """Compare training pairs with held-out ones, and held-out fakes with training images.

    Parameters
    ----------
    images : int
        Training pairs and held-out pairs at the most.
    candidates : int
        Training images at the most among which copies are sought.
    """

    name = "memorized"

    def __init__(self, images: int = 400, candidates: int = 2000) -> None:
        self.images, self.candidates = images, candidates

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
        train = case.train
        if (
            train is None
            or not {"raw", "sim"} <= train.kinds
            or not {"raw", "sim", "fake"} <= case.pairs.kinds
        ):
            return Finding(self.name, left_out=(f"Memory: {_GIVE}.",))
        held = _read(case.pairs, self.images, ("fake", "raw"), case)
        quantities, charts, left_out = [], [], []
        if "fake" in train.kinds:
            quantities += _gaps(case, _read(train, self.images, ("fake", "raw"), case), held)
        else:
            left_out.append(f"The gap between training and held-out pairs: {_GIVE}.")
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

    def _copies(self, case: Case, held: _Part) -> Largest:
        if case.train is None:
            raise ValueError("there are no training images")
        training = _read(case.train, self.candidates, ("raw",), case)
        groups = torch.from_numpy(held.groups)
        return largest_correlations(
            held.noise["fake"], training.noise["raw"], held.noise["raw"], groups, groups
        )


def _read(stacks: Stacks, count: int, kinds: Sequence[str], case: Case) -> _Part:
    """Read pairs: the noise of `kinds`, and with fakes the distances to raw of fake, sim and other raw."""
    rows = stacks.choose(count, case.seed)
    box = min(stacks.box, _LARGEST_BOX)
    compared = ("fake", "sim", "other1") if "fake" in kinds else ()
    small: dict[str, list[Tensor]] = {kind: [] for kind in (*kinds, "sim")}
    distance: dict[str, list[Tensor]] = {kind: [] for kind in compared}
    wanted = sorted({*small, *compared})
    for _, images in stacks.batches(wanted, rows=rows, label="memory: reading", progress=case.progress):
        for kind, parts in small.items():
            parts.append(fourier_resize(images[kind], box))
        for kind in compared:
            distance[kind].append(_distances(images[kind], images["raw"]))
    sims = torch.cat(small["sim"])
    return _Part(
        {kind: whitened_residuals(torch.cat(small[kind]), sims) for kind in kinds},
        {kind: torch.cat(parts).numpy() for kind, parts in distance.items()},
        stacks.units[rows],
        stacks.groups[rows],
    )


def _distances(images: Tensor, raws: Tensor) -> Tensor:
    """Return (B, 2) RPSD L1 and pixel L1."""
    spectral = rpsd_distance(radial_log_power(images), radial_log_power(raws))
    return torch.stack([spectral.double(), (images.double() - raws.double()).abs().mean((-2, -1))], 1)


class _Gap:
    """Differences of training and held-out pairs, both resampled, each in its own units.

    Parameters
    ----------
    case : Case
    train, held : _Part
    """

    def __init__(self, case: Case, train: _Part, held: _Part) -> None:
        of_train = Resampling(int(train.units.max()) + 1, case.draws, case.seed + 1)
        self._start = case.resampling.units
        self._both = Resampling(self._start + of_train.units, case.draws)
        self._both.weights = torch.cat([case.resampling.weights, of_train.weights], 1)
        self.of_train, self.of_held = of_train, case.resampling
        self._train, self._held = train.units + self._start, held.units

    def of(
        self, train: NDArray[np.float64], held: NDArray[np.float64], *, relative: bool = False
    ) -> Interval:
        """Mean of training values less that of held-out ones, perhaps as a fraction of the latter."""

        def statistic(a: Tensor, count_a: Tensor, b: Tensor, count_b: Tensor) -> Tensor:
            above, below = a / count_a, b / count_b
            return (above - below) / below if relative else above - below

        sums = [
            torch.from_numpy(np.bincount(units, weights, minlength=self._both.units))
            for values, units in ((train, self._train), (held, self._held))
            for weights in (values, np.ones_like(values))
        ]
        return self._both.of(statistic, *sums)


def _gaps(case: Case, train: _Part, held: _Part) -> list[Quantity]:
    gap = _Gap(case, train, held)
    own = [_correlations(part, 0) for part in (train, held)]
    another = [_correlations(part, len(part.units) // 2) for part in (train, held)]
    label = "correlation of fake's noise with its own raw's"
    quantities = [
        Quantity(
            "memory_gap",
            f"{label}, training less held-out",
            gap.of(*own),
            floor=gap.of(*another),
            target=0.0,
            note="floor: with another raw image of the same part",
        ),
        Quantity(
            "own_noise_train", f"{label}, training", gap.of_train.of_mean(own[0], train.units), target=0.0
        ),
        Quantity(
            "own_noise_held_out", f"{label}, held-out", gap.of_held.of_mean(own[1], held.units), target=0.0
        ),
    ]
    for column, (key, name) in enumerate((("rpsd_l1_gap", "RPSD L1"), ("pixel_l1_gap", "pixel L1"))):
        of_kind = {
            kind: gap.of(train.distance[kind][:, column], held.distance[kind][:, column], relative=True)
            for kind in ("fake", "other1", "sim")
        }
        quantities.append(
            Quantity(
                key,
                f"{name} to raw, training less held-out, over held-out",
                of_kind["fake"],
                floor=of_kind["other1"],
                ceiling=of_kind["sim"],
                note="does not decide: the parts may differ in themselves, as floor and ceiling tell",
            )
        )
    return quantities


def _correlations(part: _Part, step: int) -> NDArray[np.float64]:
    """(n,) correlation of each fake's noise with that of the raw image so many rows on."""
    raws = part.noise["raw"].roll(step, 0)
    return (part.noise["fake"] * raws).double().sum((-2, -1)).numpy()


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
    words = []
    if "memory_gap" in of:
        words.append(
            f"The noise of fakes correlates with that of their own raw images by {text['memory_gap']} more on"
            f" training pairs than on held-out ones (up to {MOST_GAP:g} passes)."
        )
    if "copied" in of:
        share = fixed(100 * of["copied"].value, 1)
        words.append(
            f"{share} % of held-out fakes resemble a training image more than chance"
            f" allows; on average the largest correlation with one exceeds chance by {text['copy_excess']}."
        )
    beside = "copied" if verdicts.get("copied") is Verdict.FAIL else next(iter(verdicts))
    return Answer(
        "memorized", "Is anything memorized?", together(*verdicts.values()), " ".join(words), beside
    )


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
