"""By how much training pairs are better than held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.evaluate.finding import Interval, Quantity
from cryoalign.evaluate.resampling import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.memorization.part import Part


class _Gap:
    """Differences of training and held-out pairs, both resampled, each in its own units.

    Parameters
    ----------
    case : Case
    train, held : Part
    """

    def __init__(self, case: Case, train: Part, held: Part) -> None:
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


def gap_quantities(case: Case, train: Part, held: Part) -> list[Quantity]:
    """Compare training with held-out pairs: noise that fake shares with its raw image, distances to raw."""
    gap = _Gap(case, train, held)
    paired = [_correlations(part, 0) for part in (train, held)]
    another = [_correlations(part, len(part.units) // 2) for part in (train, held)]
    label = "correlation of fake's noise with its own raw's"
    quantities = [
        Quantity(
            "memory_gap",
            f"{label}, training less held-out",
            gap.of(*paired),
            floor=gap.of(*another),
            target=0.0,
            note="floor: with another raw image of the same part",
        ),
        Quantity(
            "own_noise_train", f"{label}, training", gap.of_train.of_mean(paired[0], train.units), target=0.0
        ),
        Quantity(
            "own_noise_held_out", f"{label}, held-out", gap.of_held.of_mean(paired[1], held.units), target=0.0
        ),
    ]
    for distance, name in (("rpsd_l1", "RPSD L1"), ("pixel_l1", "pixel L1")):
        of_kind = {
            kind: gap.of(
                getattr(train.distances[kind], distance),
                getattr(held.distances[kind], distance),
                relative=True,
            )
            for kind in ("fake", "other1", "sim")
        }
        quantities.append(
            Quantity(
                f"{distance}_gap",
                f"{name} to raw, training less held-out, over held-out",
                of_kind["fake"],
                floor=of_kind["other1"],
                ceiling=of_kind["sim"],
                note="does not decide: the parts may differ in themselves, as floor and ceiling tell",
            )
        )
    return quantities


def _correlations(part: Part, step: int) -> NDArray[np.float64]:
    """(n,) correlation of each fake's noise with that of the raw image so many rows on."""
    raws = part.noise["raw"].roll(step, 0)
    return (part.noise["fake"] * raws).double().sum((-2, -1)).cpu().numpy()
