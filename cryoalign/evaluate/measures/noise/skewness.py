"""Is the noise as skewed as that of the measurement? The third moment of each image's background."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Quantity
from cryoalign.evaluate.measures.noise.against_raw import NOTE, by_unit, compare, verdict_of

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.noise.image_table import ImageTable

#: Difference of the mean skewness of an image's background: that of one image of 128 px scatters so much. In
#: standard deviations of single raw images, which tell fake from raw with an AUC of 0.6. Beyond both fails.
MOST_SKEWNESS, MOST_OF_SCATTER = 0.03, 0.36


def judge_skewness(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer]:
    """Compare the skewness of the background, image by image."""
    fake, raw = (_sums(case, table, kind) for kind in ("fake", "raw"))
    mean = compare(case, lambda count, total, _: total / count, fake, raw)
    spread = compare(case, _deviation, fake, raw)
    quantities = [
        Quantity("background_skewness", "skewness of an image's background", mean.fake, mean.raw),
        Quantity(
            "background_skewness_difference", "skewness of an image's background, fake less raw",
            mean.difference, mean.floor, target=0.0, note=NOTE,
        ),
        Quantity(
            "background_skewness_spread", "standard deviation of that skewness over images",
            spread.fake, spread.raw,
        ),
    ]  # fmt: skip
    scatter = 0.0 if math.isnan(spread.raw.value) else spread.raw.value
    verdict, reason = verdict_of(case, mean, max(MOST_SKEWNESS, MOST_OF_SCATTER * scatter))
    text = (
        f"The background of an image has a skewness of {fixed(mean.fake.value, 3)} in fake and"
        f" {fixed(mean.raw.value, 3)} in raw, where single raw images scatter by"
        f" {fixed(spread.raw.value, 3)}."
    )
    question = "Is the noise as skewed as raw's?"
    return quantities, Answer("skewness", question, verdict, f"{text} {reason}".strip(), quantities[1].key)


def _sums(case: Case, table: ImageTable, kind: str) -> list[Tensor]:
    values = table.of[kind].skewness
    return by_unit(case, table.units, torch.ones_like(values), values, values.square())


def _deviation(count: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    return (squares / count - (total / count).square()).clamp_min(0).sqrt()
