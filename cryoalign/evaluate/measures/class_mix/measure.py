"""Do fakes fall into 2D classes as raw images do? Classes of both together, and how they are mixed.

Fakes of some particles and raw images of others are classified together. If the two are alike, every class
holds them in the same proportion. Raw images in the fakes' place tell what chance and the choice of the
particles do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from cryoalign.errors import choice, within
from cryoalign.evaluate.digits import interval_text
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
)
from cryoalign.evaluate.measures.class_mix import relion, rotational
from cryoalign.evaluate.measures.class_mix.cramer import contingency, cramers_v
from cryoalign.evaluate.measures.reference import SMALLEST_BOX, Views, centred_spectra, small_pixel
from cryoalign.evaluate.measures.two_sample.sides import split_in_two
from cryoalign.physics.fourier import irfft2

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case

Program = Literal["auto", "relion", "kmeans"]
PROGRAMS = ("auto", "relion", "kmeans")

FEWEST = 200
"""Images of both kinds together: with fewer, chance alone reaches the limit."""

_QUESTION = "Do fakes fall into 2D classes as raw images do?"
_WORDS = {"relion": "RELION's Class2D", "kmeans": "k-means on rotational features"}


class ClassMixMeasure:
    """Classify fakes and raw images of disjoint particles together, and tell by Cramer's V how they mix.

    Parameters
    ----------
    images : int
        Images that are classified together at the most: half of them fakes, half raw.
    box : int
        Box size in px to which they are cropped for it.
    classes : int
    iterations : int
        Of RELION.
    program : {"auto", "relion", "kmeans"}
        auto: RELION where it is installed.
    limit : float
        Largest Cramer's V that passes. At 0.2 every class holds 60 % of one kind and 40 % of the other.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "class_mix"

    def __init__(
        self,
        *,
        images: int = 640,
        box: int = 64,
        classes: int = 10,
        iterations: int = 10,
        program: Program = "auto",
        limit: float = 0.2,
    ) -> None:
        choice("measure.class_mix.program", program, PROGRAMS, remedy="leave it out")
        key = "measure.class_mix"
        self.images = within(f"{key}.images", images, FEWEST, whole=True)
        self.box = within(f"{key}.box", box, SMALLEST_BOX, whole=True)
        self.classes = within(f"{key}.classes", classes, 2, FEWEST // 2, whole=True)
        self.iterations = within(f"{key}.iterations", iterations, 1, whole=True)
        self.program: str = ("relion" if relion.installed() else "kmeans") if program == "auto" else program
        self.limit = within(f"{key}.limit", limit, 0, 1)

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Without an answer, and with the reason, where there are too few images.
        """
        if self.program == "relion" and not case.pairs.paired:
            reason = (
                "Classes by RELION need pairs, as its metadata are raw's: measure.class_mix.program=kmeans."
            )
            return Finding(self.name, by_key([not_asked(self.name, _QUESTION, reason)]))
        rows = case.pairs.choose(self.images, case.seed)
        if len(rows) < FEWEST:
            reason = f"Classes: it needs {FEWEST} pairs, and there are {len(rows)}."
            return Finding(self.name, left_out=(reason,))
        settings = (self.name, self.images, self.box, self.classes, self.iterations, self.program)
        floor = case.floors.find(
            (*settings, case.seed, case.draws), lambda: {"raw": self._mix(case, rows, "raw")[0]}
        )["raw"]
        found, chart = self._mix(case, rows, "fake")
        note = f"by {_WORDS[self.program]}; floor: raw images in fake's place"
        quantity = replace(found, floor=floor.fake, note=note)
        return Finding(self.name, by_key([self._answer(quantity)]), by_key([quantity]), by_key([chart]))

    def _mix(self, case: Case, rows: NDArray[np.int64], kind: str) -> tuple[Quantity, Chart]:
        """Classify images of a kind together with raw images of other particles."""
        one, other = (rows[part] for part in split_in_two(case.pairs.groups[rows], case.seed))
        both = np.concatenate([one, other])
        is_raw = np.arange(len(both)) >= len(one)
        images = torch.cat([self._read(case, kind, one), self._read(case, "raw", other)])
        pixel_size = small_pixel(case.pairs, images.shape[-1])
        if self.program == "relion":
            classes = relion.classify(
                images, case.pairs.particles.take(both), pixel_size,
                classes=self.classes, iterations=self.iterations, seed=case.seed, threads=case.threads,
            )  # fmt: skip
        else:
            classes = rotational.classify(images, classes=self.classes, seed=case.seed)
        value = cramers_v(is_raw, classes, case.pairs.groups[both], case.draws, case.seed)
        quantity = Quantity(
            "cramers_v", "Cramer's V of the mix of 2D classes", value, target=0.0, lower_is_better=True
        )
        return quantity, _chart(contingency(is_raw, classes))

    def _read(self, case: Case, kind: str, rows: NDArray[np.int64]) -> Tensor:
        """Crop images to the small box; for k-means, which does not align them, also centre them."""
        pairs = case.pairs
        box = min(self.box, pairs.box)
        views = Views.of(pairs.particles_of(kind), rows, box, small_pixel(pairs, box))
        if self.program == "relion":
            views = replace(views, move=torch.zeros_like(views.move))
        spectra = centred_spectra(
            lambda part: pairs.images(kind, part), rows, views,
            label="classes: reading", progress=case.progress,
        )  # fmt: skip
        return irfft2(spectra, box).float()

    def _answer(self, quantity: Quantity) -> Answer:
        value, floor = quantity.fake, quantity.floor
        found = interval_text(value.value, value.low, value.high)
        text = (
            "Fakes and raw images of other particles, sorted into 2D classes together, are mixed with a "
            f"Cramer's V of {found} (0: every class holds as many of both, 1: no class holds both; up to "
            f"{self.limit:g} passes)"
        )
        verdict = decide(value, self.limit)
        if floor is not None:
            text += f"; raw images in fake's place: {interval_text(floor.value, floor.low, floor.high)}"
            if decide(floor, self.limit) is Verdict.FAIL:
                verdict = Verdict.UNDECIDED
                text += ": these classes tell real images apart, too, and decide nothing"
        return Answer(self.name, _QUESTION, verdict, f"{text}.", quantity.key)


def _chart(table: NDArray[np.float64]) -> Chart:
    """Draw the share of both kinds in each class, the largest class first."""
    table = table[:, np.argsort(-table.sum(0), kind="stable")]
    number = tuple(float(place + 1) for place in range(table.shape[1]))
    series = {
        kind: Series(number, tuple((counts / counts.sum()).tolist()))
        for kind, counts in zip(("fake", "raw"), table, strict=True)
    }
    return Chart("classes", "How fakes and raw images fall into 2D classes", "class", "share", series)
