"""Run the measures one after the other; one that cannot be taken is left out with its reason."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from cryoalign.errors import InputError
from cryoalign.evaluate.finding import Finding
from cryoalign.physics.threads import one_thread_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoalign.evaluate.case import Case

_log = logging.getLogger(__name__)


class Measure(Protocol):
    """What the referee can be asked."""

    name: str

    def __call__(self, case: Case) -> Finding:
        """Judge a case."""
        ...


def judge(case: Case, measures: Mapping[str, Measure]) -> list[Finding]:
    """Judge a case by several measures.

    What one of them lacks leaves the others as they are.

    Parameters
    ----------
    case : Case
    measures : mapping of str to Measure
        In their order.

    Returns
    -------
    list of Finding

    Raises
    ------
    InputError
        If an image cannot be used.
    """
    findings = []
    for name, measure in measures.items():
        _log.info("measure     %s", name)
        try:
            with one_thread_each():
                findings.append(measure(case))
        except InputError as error:
            if error.row is not None:  # an image that cannot be used
                raise
            findings.append(Finding(name, left_out=(str(error).replace("\n", ";"),)))
    return findings
