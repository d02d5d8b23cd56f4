"""Run the measures one after the other; one that cannot be taken is left out with its reason."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cryoalign.errors import InputError
from cryoalign.evaluate.finding import Finding, Interval, Series
from cryoalign.physics.threads import one_thread_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryoalign.evaluate.case import Case

_log = logging.getLogger(__name__)


class Measure(Protocol):
    """What the referee can be asked."""

    name: str

    def __call__(self, case: Case) -> Finding:
        """Judge a case."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A measure that has something to ask of some cases only."""

    def asks(self, case: Case) -> bool:
        """Return whether there is something to ask."""
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
        if isinstance(measure, Selective) and len(measures) > 1 and not measure.asks(case):
            continue  # unless it was asked for by name
        _log.info("measure     %s", name)
        try:
            with one_thread_each():
                findings.append(_without_infinities(measure(case)))
        except InputError as error:
            if error.row is not None:  # an image that cannot be used
                raise
            findings.append(Finding(name, left_out=(str(error).replace("\n", ";"),)))
    return findings


def _without_infinities(finding: Finding) -> Finding:
    """Put NaN, which is not known, for what is infinite: a ratio to nothing, the logarithm of zero.

    Verdicts are made before it: what is infinite lies beyond any limit.
    """
    quantities = {
        key: replace(
            quantity,
            fake=_finite(quantity.fake),
            floor=None if quantity.floor is None else _finite(quantity.floor),
            ceiling=None if quantity.ceiling is None else _finite(quantity.ceiling),
            bins=tuple(None if entry is None else _finite(entry) for entry in quantity.bins),
        )
        for key, quantity in finding.quantities.items()
    }
    charts = {
        key: replace(chart, series={name: _finite_series(line) for name, line in chart.series.items()})
        for key, chart in finding.charts.items()
    }
    return replace(finding, quantities=quantities, charts=charts)


def _finite(interval: Interval) -> Interval:
    return Interval(*_known((interval.value, interval.low, interval.high)))


def _finite_series(line: Series) -> Series:
    return Series(*map(_known, (line.x, line.y, line.low, line.high)))


def _known(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(math.nan if math.isinf(value) else value for value in values)
