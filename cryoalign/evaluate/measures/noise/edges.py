"""Does the noise continue across opposite edges of the box? Correlations there over those inside."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import torch

from cryoalign.evaluate.digits import fixed
from cryoalign.evaluate.finding import Answer, Quantity, Verdict
from cryoalign.evaluate.measures.noise.against_raw import NOTE, by_unit, compare, verdict_of

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.noise.image_table import ImageTable

#: Difference of the shares, of which 0 is noise that ends at the edges and 1 periodic noise. Beyond it fails;
#: an interval that reaches half of the way from one to the other decides nothing.
MOST_SHARE, WIDEST = 0.25, 0.5
#: Difference between periodic noise and noise that ends, in one raw image, in standard deviations of what
#: chance does there. Below it nobody tells the two apart from an image: the AUC is 0.57.
LEAST_SEEN = 0.25

NOTHING_TO_SEE = (
    "Neighbouring pixels of raw's noise hardly correlate, for so many images: there is nothing to see at its"
    " edges."
)
TOO_FEW = "Too few images to tell."


def judge_edges(case: Case, table: ImageTable) -> tuple[list[Quantity], Answer]:
    """Compare the share of the noise's correlation that continues across opposite edges.

    share = sum l W(l, m) I(l, m) / sum l I(l, m)^2 over the lags of
    `cryoalign.evaluate.measures.edges.EdgeCorrelations`, W the correlation across the edges and I that of raw
    inside, the same for fake and raw. Its square is the product of those at either edge, whose chance errors
    are independent: the square of a mean would be too large by its error.
    """
    tables = {kind: _sums(case, table, kind) for kind in ("fake", "raw")}
    inside = tables["raw"][2:]
    fake, raw = ([tables[kind][1], *inside] for kind in ("fake", "raw"))
    compared = compare(case, continuing_share, fake, raw)
    quantities = [
        Quantity(
            "edge_share", "share of the noise's correlation that continues across opposite edges",
            compared.fake, compared.raw, note="0: it ends at the edges; 1: as in periodic noise",
        ),
        Quantity(
            "edge_share_difference", "that share, fake less raw",
            compared.difference, compared.floor, target=0.0, note=NOTE,
        ),
    ]  # fmt: skip
    box, (_, low, high) = case.pairs.box, astuple(compared.difference)
    seen = case.resampling.of(
        lambda count, first, last: 2 * box * _weighted(first, last) / count.square(),
        tables["raw"][0],
        *inside,
    )
    verdict, reason = verdict_of(case, compared, MOST_SHARE)
    if not seen.low > LEAST_SEEN**2:
        verdict, reason = Verdict.UNDECIDED, reason or NOTHING_TO_SEE
    elif verdict is Verdict.PASS and not max(-low, high) < WIDEST:
        verdict, reason = Verdict.UNDECIDED, TOO_FEW
    text = (
        f"Across opposite edges the noise has {fixed(compared.fake.value, 2)} of its correlation inside in"
        f" fake and {fixed(compared.raw.value, 2)} in raw: 0 where it ends there, as in boxes cut from a"
        " micrograph, and 1 where it is periodic, as what was filtered in its box."
    )
    question = "Does the noise continue across opposite edges as raw's does?"
    return quantities, Answer("edges", question, verdict, f"{text} {reason}".strip(), quantities[1].key)


def continuing_share(across: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return how much of the correlation at either edge continues across them.

    Parameters
    ----------
    across, first, last : (b, L, K) tensor
        Sums or means over images, as in `cryoalign.evaluate.measures.edges.EdgeCorrelations`.

    Returns
    -------
    (b,) tensor
        0 for noise that ends at the edges, 1 for periodic noise.
    """
    return _weighted(across, (first + last) / 2) / _weighted(first, last)


def _sums(case: Case, table: ImageTable, kind: str) -> list[Tensor]:
    """Add up by unit: images, correlations across the edges, at the first one, at the last one."""
    edges = table.of[kind].edges
    return by_unit(case, table.units, torch.ones(len(edges), dtype=torch.float64), *edges.unbind(1))


def _weighted(one: Tensor, other: Tensor) -> Tensor:
    """Sum (b, L, K) products over the lags, by the number of pairs of pixels."""
    pairs = torch.arange(1, one.shape[1] + 1, dtype=torch.float64)[:, None]
    return (pairs * one * other).sum((-2, -1))
