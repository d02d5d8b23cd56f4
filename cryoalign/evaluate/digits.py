"""Numbers for a reader: as many digits as their interval deserves."""

from __future__ import annotations

import math

MISSING = "\N{EN DASH}"
"""What stands for a number that is not known."""

_MOST_DECIMALS = 6
_LARGE = 1e7


def interval_digits(
    value: float | None, low: float | None = None, high: float | None = None
) -> tuple[str, str, str]:
    """Write a value and the ends of its interval with the same number of decimals.

    The interval's width shows two digits, so that 1.0342 from 0.98123 to 1.09431 becomes 1.03, 0.98 and 1.09.
    A value without an interval is written with three significant digits.

    Parameters
    ----------
    value : float or None
    low, high : float or None
        Ends of the interval.

    Returns
    -------
    tuple of str
        Value, low and high; both ends empty where there is no interval, the value a dash where it is not
        known.
    """
    if value is None or math.isnan(value):
        return MISSING, "", ""
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return number(value), "", ""
    width = high - low
    decimals = max(0, 1 - math.floor(math.log10(width)))
    if decimals > _MOST_DECIMALS or max(abs(low), abs(high), abs(value)) >= _LARGE:
        return number(value), number(low), number(high)
    value_text, low_text, high_text = (fixed(entry, decimals) for entry in (value, low, high))
    return value_text, low_text, high_text


def interval_text(
    value: float | None, low: float | None = None, high: float | None = None, unit: str = ""
) -> str:
    """Write a value and its interval in one line: ``1.03 (0.98 to 1.09)``.

    Parameters
    ----------
    value, low, high : float or None
    unit : str
        ``A`` and ``degree`` become their signs.

    Returns
    -------
    str
    """
    middle, start, end = interval_digits(value, low, high)
    behind = "" if middle == MISSING else unit_sign(unit)
    return f"{middle}{behind} ({start} to {end})" if start else f"{middle}{behind}"


def spread_text(mean: float | None, spread: float | None = None) -> str:
    """Write a mean and the standard deviation of what it is the mean of: ``0.390 ± 0.012``.

    Parameters
    ----------
    mean, spread : float or None
        The spread shows two digits.

    Returns
    -------
    str
    """
    if mean is None or math.isnan(mean):
        return MISSING
    if spread is None or math.isnan(spread):
        return number(mean, digits=4)
    if spread <= 0:
        return f"{number(mean, digits=4)} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    if decimals > _MOST_DECIMALS:
        return f"{number(mean, digits=4)} ± {number(spread, digits=2)}"
    return f"{fixed(mean, decimals)} ± {spread:.{decimals}f}"


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, and all digits before the point.

    Parameters
    ----------
    value : float
    digits : int

    Returns
    -------
    str
    """
    size = abs(value)
    if not math.isfinite(value) or (size != 0 and not 1e-4 <= size < _LARGE):
        return f"{value:.{digits - 1}e}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else MISSING
    decimals = digits - 1 - math.floor(math.log10(size)) if size else 0
    return fixed(value, max(0, decimals))


def unit_sign(unit: str) -> str:
    """Return a unit as it stands behind a number.

    Parameters
    ----------
    unit : str

    Returns
    -------
    str
        With a space before it where there is one in print.
    """
    return {"": "", "A": " Å", "degree": "°"}.get(unit, f" {unit}")


def fixed(value: float, decimals: int) -> str:
    """Write a number with so many decimals.

    Parameters
    ----------
    value : float
    decimals : int

    Returns
    -------
    str
        A dash for what is not a finite number; no sign before a zero.
    """
    if not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")
