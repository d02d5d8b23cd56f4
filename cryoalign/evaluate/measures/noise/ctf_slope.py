"""Does the noise follow the CTF of its particle? Its power over CTF^2, ring by ring, beside raw's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Quantity, Verdict
from cryoalign.evaluate.measures.noise.against_raw import NOTE, by_unit, compare, verdict_of
from cryoalign.physics.spectrum import ring_pixels

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.noise.image_table import ImageTable

#: Difference of the slopes, of the power at the CTF's peaks less that at its zeros over the mean power, and
#: that as a fraction of raw's. Beyond both fails.
MOST_SLOPE, MOST_FRACTION = 0.1, 0.2

_LOWEST = 3  # rings below which ramps and the particle's shape are most of the residual


def judge_ctf_slope(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer]:
    """Compare the slope of the noise's power over the particle's CTF^2, ring by ring."""
    pixels = ring_pixels(case.pairs.box)[_LOWEST:]

    def slope(count: Tensor, c2: Tensor, c4: Tensor, q: Tensor, qc2: Tensor) -> Tensor:
        number = count[:, None] * pixels
        above = (qc2 - q * c2 / number).sum(-1)
        return above / (c4 - c2.square() / number).sum(-1)

    fake, raw = (_sums(case, table, kind) for kind in ("fake", "raw"))
    compared = compare(case, slope, fake, raw)
    quantities = [
        Quantity(
            "noise_ctf_slope", "power of the noise at the CTF's peaks less that at its zeros, over the mean",
            compared.fake, compared.raw,
        ),
        Quantity(
            "noise_ctf_difference", "that slope, fake less raw",
            compared.difference, compared.floor, target=0.0, note=NOTE,
        ),
    ]  # fmt: skip
    steep = 0.0 if math.isnan(compared.raw.value) else abs(compared.raw.value)
    limit = max(MOST_SLOPE, MOST_FRACTION * steep)
    verdict, reason = verdict_of(case, compared, limit)
    width = compared.difference.high - compared.difference.low
    if verdict is Verdict.PASS and not width < 4 * limit:
        verdict, reason = Verdict.UNDECIDED, "The CTFs of these images hardly differ within a ring."
    text = (
        f"From the zeros of its particle's CTF to its peaks, the noise's power rises by"
        f" {fixed(compared.fake.value, 3)} of its mean in fake and {fixed(compared.raw.value, 3)} in raw."
    )
    question = "Does the noise follow the CTF of its particle as raw's does?"
    return quantities, Answer("noise_ctf", question, verdict, f"{text} {reason}".strip(), quantities[1].key)


def _sums(case: Case, table: ImageTable, kind: str) -> list[Tensor]:
    columns = [*table.ctf[kind], *table.of[kind].power_of_ctf]
    count = table.of[kind].skewness.new_ones(len(table.units))
    return by_unit(case, table.units, count, *(values[:, _LOWEST:] for values in columns))
