"""Is the noise as even as that of the measurement? Over the image, and over the frequencies of a ring."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Quantity, together
from cryoalign.evaluate.measures.noise.against_raw import NOTE, by_unit, compare, verdict_of

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.noise.image_table import ImageTable

#: Difference of the relative standard deviations of the local variance.
MOST_MODULATION = 0.05
#: Unpaired, where particle and noise are not told apart, as a fraction of raw's.
MOST_OF_CONTENT = 0.1
#: Difference of the standard deviations of ln power within a ring: 4 % of that of Gaussian noise.
MOST_IN_RING = 0.05
#: Standard deviation of ln of an exponentially distributed power.
GAUSSIAN = math.pi / math.sqrt(6)


def judge_modulation(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer]:
    """Compare how much the local variance of the noise changes over an image."""

    def deviation(count: Tensor, total: Tensor) -> Tensor:
        return (total / count).clamp_min(0).sqrt()

    values = {kind: table.of[kind].modulation for kind in ("fake", "raw")}
    fake, raw = (by_unit(case, table.units, torch.ones_like(one), one) for one in values.values())
    compared = compare(case, deviation, fake, raw)
    quantities = [
        Quantity(
            "modulation", "relative standard deviation of the noise's local variance",
            compared.fake, compared.raw, note="beyond that of copies with random phases",
        ),
        Quantity(
            "modulation_difference", "that standard deviation, fake less raw",
            compared.difference, compared.floor, target=0.0, note=NOTE,
        ),
    ]  # fmt: skip
    limit = MOST_MODULATION if case.pairs.paired else _among_content(compared.raw.value)
    verdict, reason = verdict_of(case, compared, limit)
    text = (
        f"Beyond chance, the local variance of the noise changes over an image by"
        f" {fixed(compared.fake.value, 3)} of its mean in fake and {fixed(compared.raw.value, 3)} in raw."
    )
    question = "Is the noise as even over the image as raw's?"
    return quantities, Answer("modulation", question, verdict, f"{text} {reason}".strip(), quantities[1].key)


def _among_content(raw: float) -> float:
    """Return the difference that counts where the particle modulates the image, too.

    Variances add up, so that noise adds less to a deviation m that is there already; a tenth of m is left to
    particles that differ.
    """
    return max(MOST_MODULATION / 2, MOST_OF_CONTENT * raw)


def judge_rings(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer]:
    """Compare how much ln of the noise's power scatters within the rings of an image."""
    values = {kind: table.of[kind].log_variance for kind in ("fake", "raw")}
    fake, raw = (
        by_unit(case, table.units, torch.ones(len(one), dtype=torch.float64), one) for one in values.values()
    )
    bands = []
    for number, (band, _) in enumerate(table.bands):

        def deviation(count: Tensor, total: Tensor, number: int = number) -> Tensor:
            return (total[:, number] / count).clamp_min(0).sqrt()

        bands.append((band, compare(case, deviation, fake, raw)))
    quantities = [
        Quantity(
            f"in_ring_deviation_{number}", f"standard deviation of ln power within a ring, {band}",
            compared.fake, compared.raw, note=f"Gaussian noise of one power in each ring: {GAUSSIAN:.3f}",
        )
        for number, (band, compared) in enumerate(bands, start=1)
    ]  # fmt: skip
    band, worst = max(bands, key=lambda entry: abs(entry[1].difference.value))
    shown = Quantity(
        "in_ring_difference", f"standard deviation of ln power within a ring, {band}, fake less raw",
        worst.difference, worst.floor, target=0.0, note=f"where it is furthest off; {NOTE}",
    )  # fmt: skip
    found = [verdict_of(case, compared, MOST_IN_RING) for _, compared in bands]
    reason = next((words for _, words in found if words), "")
    text = (
        f"Where it is furthest off ({band}), ln of the noise's power scatters within a ring by"
        f" {fixed(worst.fake.value, 3)} in fake and {fixed(worst.raw.value, 3)} in raw."
    )
    answer = Answer(
        "in_ring", "Does the noise's power scatter within rings as raw's does?",
        together(*(verdict for verdict, _ in found)), f"{text} {reason}".strip(), shown.key,
    )  # fmt: skip
    return [*quantities, shown], answer
