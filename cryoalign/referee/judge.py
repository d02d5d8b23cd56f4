"""Run the measures one after the other; one that cannot be taken is left out with its reason."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from cryoalign.errors import InputError
from cryoalign.referee.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoalign.referee.case import Case

_log = logging.getLogger(__name__)


class Measure(Protocol):
    """What the referee can be asked."""

    name: str

    def __call__(self, case: Case) -> Finding:
        """Judge a case."""
        ...


def judge(case: Case, measures: Mapping[str, Measure]) -> list[Finding]:
    """Judge a case by several measures.

    Parameters
    ----------
    case : Case
    measures : mapping of str to Measure
        In their order.

    Returns
    -------
    list of Finding
    """
    findings = []
    for name, measure in measures.items():
        _log.info("measure     %s", name)
        try:
            findings.append(measure(case))
        except InputError as error:  # of this measure alone: the others still tell
            findings.append(Finding(name, left_out=(str(error).replace("\n", ";"),)))
    return findings
