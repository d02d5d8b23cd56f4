"""Templates to HTML: everything inline, nothing fetched, every word escaped."""

from __future__ import annotations

import base64
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cryoalign.evaluate.digits import interval_digits, number, spread_text, unit_sign
from cryoalign.evaluate.finding import Verdict
from cryoalign.figures.charts import Curve, chart, svg

if TYPE_CHECKING:
    from cryoalign.evaluate.finding import Chart, Quantity

SIGNS = {
    Verdict.PASS: "\N{CHECK MARK}",
    Verdict.FAIL: "\N{BALLOT X}",
    Verdict.UNDECIDED: "?",
    Verdict.NOT_ASKED: "\N{EN DASH}",
}
"""What stands before the name of a verdict, so that no reader depends on its colour."""

_ROOMS = Path(__file__).parents[1]
#: A room's own pages, and what all pages are made of.
_TEMPLATES = tuple(_ROOMS / room / "templates" for room in ("evaluate", "report"))

_OF_NYQUIST = "fraction of Nyquist"
"""By these words in the label of an x axis it is known to be the normalized radius."""


def render(template: str, **context: object) -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        Name of a file in ``templates/``.
    **context
        What it shows; text is escaped.

    Returns
    -------
    str
        A whole HTML page.
    """
    return _environment().get_template(template).render(**context) + "\n"


def drawing(plan: Chart, name: str, pixel_size: float | None = None) -> Markup:
    """Draw a chart as inline SVG.

    Parameters
    ----------
    plan : Chart
    name : str
        Unlike that of any other drawing of the page.
    pixel_size : float, optional
        In A: charts over the fraction of Nyquist then tell the resolution too.

    Returns
    -------
    markupsafe.Markup
        Empty where there is no curve.
    """
    curves = {kind: Curve(line.x, line.y, line.low, line.high) for kind, line in plan.series.items()}
    if not curves:
        return Markup("")
    radial = pixel_size is not None and pixel_size > 0 and _OF_NYQUIST in plan.x_label
    figure = chart(
        curves,
        with_angstrom(plan.x_label),
        with_angstrom(plan.y_label),
        log_y=plan.log_y,
        pixel_size=pixel_size if radial else None,
    )
    return Markup(svg(figure, name, plan.title))  # noqa: S704  matplotlib escapes the words of a drawing


def picture(png: bytes) -> str:
    """Return a PNG image as a ``data:`` address.

    Parameters
    ----------
    png : bytes

    Returns
    -------
    str
    """
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def with_angstrom(label: str) -> str:
    """Write the unit A of a label as readers know it.

    Parameters
    ----------
    label : str

    Returns
    -------
    str
    """
    return label.replace("(A)", "(Å)").replace("(1/A)", "(1/Å)").replace("(A²)", "(Å²)")


def labelled(quantity: Quantity) -> str:
    """Return a quantity's label with its unit."""
    unit = unit_sign(quantity.unit).strip()
    return f"{quantity.label} ({unit})" if unit else quantity.label


def moment(stamp: str) -> str:
    """Write an ISO 8601 time for a reader.

    Parameters
    ----------
    stamp : str

    Returns
    -------
    str
    """
    return stamp.replace("T", " ").replace("+00:00", " UTC")


def tight(text: str) -> str:
    """Keep numbers and their units on one line.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return re.sub(r"(?<=\d) (?=%|Å|px|µm|sigma)", "\N{NO-BREAK SPACE}", text)


def _plain_number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else number(value)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _plain_number,
        "moment": moment,
        "angstrom": with_angstrom,
        "labelled": labelled,
        "tight": tight,
    }
    environment.globals |= {"interval_digits": interval_digits, "spread_text": spread_text, "signs": SIGNS}
    return environment
