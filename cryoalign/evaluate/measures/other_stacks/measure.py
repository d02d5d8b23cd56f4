"""Is any noise of these fakes another's? They are held against other stacks, and against each other.

Stacks that are made apart, for training and for testing, say, must not share their noise: what learned from
one would know the other. Noise is taken from the corners of the images, where no particle is, and whitened.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import within
from cryoalign.evaluate.digits import fixed, interval_text
from cryoalign.evaluate.finding import Answer, Finding, Interval, Quantity, Verdict, by_key, decide, together
from cryoalign.evaluate.measures.noise.independence import has_noise
from cryoalign.evaluate.measures.other_stacks.corners import LARGEST_BOX, find, read_corners

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.other_stacks.corners import Corners
    from cryoalign.evaluate.stacks import Probe

FEWEST = 20
"""Images of a stack: with fewer there is no chance level."""
#: Mean correlation of the noise of images in the same row of both files.
MOST_CORRELATION = 0.02
#: Fraction of the fakes whose noise stands somewhere in the others: chance gives 0.001.
MOST_FOUND = 0.02

_ELSEWHERE = "Is no noise of these fakes that of another stack?"
_WITHIN = "Is no noise of these fakes that of another one of them?"
_NO_NOISE = " Fake has no noise to speak of."


class OtherStacksMeasure:
    """Correlate the noise in the corners of fakes with that of other stacks, and of each other.

    Rows are compared with the same rows of another stack, which is where noise repeats that depends on the
    row alone; and every image with every other one, which finds it wherever it is. It is asked of fakes of
    other particles than raw's, and where other stacks were given.

    Parameters
    ----------
    images : int
        Of each stack, at the most; the same rows where there are.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "other_stacks"

    def __init__(self, images: int = 1000) -> None:
        self.images = within("measure.other_stacks.images", images, FEWEST, whole=True)

    def asks(self, case: Case) -> bool:
        """Return whether there are other stacks, or new particles."""
        return bool(case.others) or not case.pairs.paired

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Answers ``noise_within``, and with other stacks ``noise_elsewhere``.
        """
        pairs = case.pairs
        rows = pairs.choose(self.images, case.seed)
        box, radius = min(pairs.box, LARGEST_BOX), pairs.normalization["raw"].radius
        fakes = read_corners(partial(pairs.images, "fake"), rows, box, radius)
        places = pairs.stacks["fake"].particles.row[rows] - 1
        others = torch.ones(len(rows), len(rows), dtype=torch.bool).fill_diagonal_(fill_value=False)
        inside = self._share(case, rows, fakes, fakes, others)
        quantities = [
            Quantity("found_within", "fakes whose noise is that of another one of them", *inside, target=0.0)
        ]
        answers = [_answer(case, "noise_within", _WITHIN, {"another fake": quantities})]
        found, left_out = {}, []
        for number, (name, probe) in enumerate(case.others.items(), start=1):
            if len(probe) < FEWEST:
                left_out.append(f"Noise of {name}: it has {len(probe)} images, and {FEWEST} are needed.")
                continue
            chosen = self._rows_of(probe, places, case.seed)
            corners = read_corners(probe.images, chosen, box, radius)
            same = places[:, None] == chosen
            found[name] = self._against(case, rows, fakes, corners, same, number=number, name=name)
        if found:
            answers.append(_answer(case, "noise_elsewhere", _ELSEWHERE, found))
        elif not left_out:
            left_out.append("Noise of other stacks: none was given (others=).")
        every = [*quantities, *(entry for entries in found.values() for entry in entries)]
        return Finding(self.name, by_key(answers), by_key(every), left_out=tuple(left_out))

    def _rows_of(self, probe: Probe, places: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Choose the rows that fakes stand in, and others up to the number of images."""
        same = places[places < len(probe)]
        rest = np.setdiff1d(np.arange(len(probe)), same)
        more = np.random.default_rng([seed, 5]).permutation(rest)[: max(self.images - len(same), 0)]
        return np.sort(np.concatenate([same, more])).astype(np.int64)

    def _against(
        self,
        case: Case,
        rows: NDArray[np.int64],
        fakes: Corners,
        others: Corners,
        same: NDArray[np.bool_],
        *,
        number: int,
        name: str,
    ) -> list[Quantity]:
        """Compare fakes with one other stack, row against row and each against all."""
        units = case.pairs.units[rows]
        every = torch.ones(same.shape, dtype=torch.bool)
        share = self._share(case, rows, fakes, others, every)
        label = f"fakes whose noise is that of an image of {name}"
        found = [Quantity(f"found_{number}", label, *share, target=0.0)]
        both = np.flatnonzero(same.any(1))
        if len(both) < FEWEST:
            return found
        table = (fakes.noise[both] @ others.noise.T).double().numpy()
        beside = same[both]
        values = table[beside]
        apart = (table.sum(1) - values) / (table.shape[1] - 1)
        found.append(
            Quantity(
                f"row_correlation_{number}",
                f"correlation of the noise with that of the same row of {name}",
                case.resampling.of_mean(values, units[both]),
                case.resampling.of_mean(apart, units[both]),
                target=0.0,
                note=f"of {len(both)} rows; floor: other rows, and one pair of them scatters by "
                f"{fixed(float(table[~beside].std()), 3)}",
            )
        )
        return found

    def _share(
        self, case: Case, rows: NDArray[np.int64], fakes: Corners, others: Corners, allowed: Tensor
    ) -> tuple[Interval, Interval]:
        """Fraction of the fakes whose noise is found among others, and what chance gives."""
        units = case.pairs.units[rows]
        found = find(fakes.noise, others, allowed)
        share, by_chance = (
            case.resampling.of_mean((largest > found.alarm).double().numpy(), units)
            for largest in (found.best, found.chance)
        )
        return share, by_chance


def _answer(case: Case, key: str, question: str, found: dict[str, list[Quantity]]) -> Answer:
    """Hold shares and correlations against their limits; the worst stack is named."""
    verdicts = {
        name: together(*(decide(entry.fake, _limit(entry)) for entry in entries))
        for name, entries in found.items()
    }
    order = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS)
    worst = min(found, key=lambda name: (order.index(verdicts[name]), -found[name][0].fake.value))
    share, *row = found[worst]
    text = f"The noise of {fixed(100 * share.fake.value, 1)} % of the fakes is that of {worst}"
    text += f" (by chance {fixed(100 * (0.0 if share.floor is None else share.floor.value), 1)} %)"
    if row:
        value = row[0].fake
        text += f"; in the same row it correlates by {interval_text(value.value, value.low, value.high)}"
    text += "."
    verdict = together(*verdicts.values())
    if not has_noise(case.sums):
        verdict, text = Verdict.UNDECIDED, text + _NO_NOISE
    shown = next((entry for entry in found[worst] if decide(entry.fake, _limit(entry)) is verdict), share)
    return Answer(key, question, verdict, text, shown.key)


def _limit(quantity: Quantity) -> float:
    return MOST_FOUND if quantity.key.startswith("found") else MOST_CORRELATION
