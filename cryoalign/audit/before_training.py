"""The audit that precedes a training: a look at some of its pairs, in a few seconds."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cryoalign.audit.check import check_pairs
from cryoalign.audit.sample import FEWEST, choose_rows, sample_images
from cryoalign.audit.verdict import conclude
from cryoalign.errors import InputError, choice

if TYPE_CHECKING:
    from cryoalign.data.datamodule import PairedDataModule

CHOICES = ("short", "off")
_PAIRS, _BOX = 160, 48

_log = logging.getLogger(__name__)


def audit_training(mode: str, data: PairedDataModule) -> None:
    """Refuse to train on pairs that are known to be wrong.

    Looks at 160 training pairs at 48 px at the most, without the poses. What cannot be decided is logged, and
    is no obstacle.

    Parameters
    ----------
    mode : {"short", "off"}
    data : PairedDataModule
        Set up.

    Raises
    ------
    InputError
        If the pairs stand in a wrong relation that has a name, or `mode` is unknown.
    """
    choice("audit", mode, CHOICES)
    rows = data.rows["train"]
    if mode == "off":
        return
    if len(rows) < FEWEST:
        _log.info("audit       too few training pairs to tell whether they are pairs")
        return
    chosen = rows[choose_rows(len(rows), _PAIRS)]
    sample = sample_images(data.sim_images, data.raw_images, chosen, among=rows, box=_BOX)
    radius = data.normalization_settings.get("radius", 0.9)
    verdict = conclude(check_pairs(sample, radius=radius, poses=False))
    if verdict.outcome == "wrong":
        raise InputError(
            f"sim and raw are not pairs: {verdict.line}",
            file=data.sim_star,
            remedy=f"{verdict.remedy}; cryoalign audit tells more; audit=off trains nevertheless",
        )
    level = logging.INFO if verdict.outcome == "agree" else logging.WARNING
    _log.log(level, "audit       %s", verdict.line)
