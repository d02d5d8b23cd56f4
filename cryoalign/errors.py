"""The one exception a user can cause: it names the thing, what was expected, what came and the remedy.

The remedy cannot be left out, nor, of a row of a file, what was expected and what came.

What is refused most often has a function: a choice, a number in its range, a file that is there.
"""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_T = TypeVar("_T")
_Number = TypeVar("_Number", bound=float)


class InputError(Exception):
    """Something the user gave cannot be used.

    Commands print it without a traceback and exit with code 1.

    Parameters
    ----------
    problem : str
        What is wrong, in a few words, without a full stop.
    file : Path or str, optional
        The file concerned, as the user would find it.
    row : int, optional
        1-based data row in that file.
    expected, found : object, optional
        What should have been there, and what was; needed where a row is named.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> said = {"expected": "16 px or more", "found": "8 px", "remedy": "crop less"}
    >>> print(InputError("the box is too small", file="run.star", row=3, **said))
    run.star, row 3: the box is too small
      expected: 16 px or more
      found: 8 px
      remedy: crop less
    """

    @overload
    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        expected: object = None,
        found: object = None,
        remedy: str,
    ) -> None: ...

    @overload
    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        row: int | None,
        expected: object,
        found: object,
        remedy: str,
    ) -> None: ...

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        row: int | None = None,
        expected: object = None,
        found: object = None,
        remedy: str,
    ) -> None:
        self.problem, self.file, self.row = problem, file, row
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(self._text())

    def _text(self) -> str:
        place = str(self.file) if self.file is not None else ""
        if self.row is not None:
            place += f"{', ' if place else ''}row {self.row}"
        lines = [f"{place}: {self.problem}" if place else self.problem]
        lines += [
            f"  {label}: {value}"
            for label, value in (("expected", self.expected), ("found", self.found), ("remedy", self.remedy))
            if value is not None
        ]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip from a loader's worker process."""
        file, expected, found = (
            None if value is None else str(value) for value in (self.file, self.expected, self.found)
        )
        rebuild = partial(
            InputError,
            self.problem,
            file=file,
            row=self.row,
            expected=expected,
            found=found,
            remedy=self.remedy,
        )
        return rebuild, ()


def choice(
    name: str,
    value: _T,
    choices: Iterable[_T],
    *,
    file: Path | None = None,
    row: int | None = None,
    remedy: str | None = None,
) -> _T:
    """Return a value that is one of a few.

    Parameters
    ----------
    name : str
        The key, as the user would find it.
    value : object
    choices : iterable of object
        What it may be.
    file, row : optional
        See `InputError`.
    remedy : str, optional
        By default, to choose one of these.

    Returns
    -------
    object
        `value`.

    Raises
    ------
    InputError
        If it is another.
    """
    known = list(choices)
    if value in known:
        return value
    *most, last = map(str, known)
    expected = f"{', '.join(most)} or {last}" if most else last
    raise InputError(
        f"unknown choice for {name}",
        file=file,
        row=row,
        expected=expected,
        found=value,
        remedy=remedy or "write one of these" + (" into the file" if file else f", or leave {name} out"),
    )


def within(
    name: str,
    value: _Number,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    whole: bool = False,
    unit: str = "",
    remedy: str | None = None,
) -> _Number:
    """Return a number that lies in its range.

    Parameters
    ----------
    name : str
        The key, as the user would find it.
    value : int or float
        NaN lies in no range.
    least, most : float, optional
        Limits that are allowed themselves.
    above, below : float, optional
        Limits that are not.
    whole : bool
        Refuse what is not an int.
    unit : str
        Of the value, for the reader.
    remedy : str, optional
        By default, to choose a number in the range.

    Returns
    -------
    int or float
        `value`.

    Raises
    ------
    InputError
        If it lies outside, or is no number.
    """
    given: object = value  # whatever its type says
    if (
        not isinstance(given, bool)
        and isinstance(given, Integral if whole else Real)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return value
    expected = _range(least, most, above, below, f" {unit}" if unit else "")
    raise InputError(
        f"{name} is out of range",
        expected=f"a whole number, {expected}" if whole else expected,
        found=f"{value} {unit}" if unit else value,
        remedy=remedy or "choose a number in this range",
    )


def _range(
    least: float | None, most: float | None, above: float | None, below: float | None, unit: str
) -> str:
    """Write a range: 0 or more; 1 to 8 px; above 0 and up to 1."""
    if least is not None and most is not None:
        return f"{_plain(least)} to {_plain(most)}{unit}"
    limits = (
        (above, "above {}"),
        (least, "at least {}" if below is not None else "{} or more"),
        (most, "up to {}"),
        (below, "less than {}"),
    )
    return " and ".join(text.format(_plain(limit) + unit) for limit, text in limits if limit is not None)


def _plain(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else f"{limit:g}"


def existing(path: Path, expected: str) -> Path:
    """Return a path at which there is a file.

    Parameters
    ----------
    path : Path
    expected : str
        What kind of file.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If there is nothing, or a folder.
    """
    if not path.exists():
        raise InputError(
            "there is no such file",
            file=path,
            expected=expected,
            remedy="look for a typing error; a relative path begins where the command is given",
        )
    if not path.is_file():
        found = "a folder" if path.is_dir() else "a device, a pipe or a socket"
        raise InputError(
            "this is not a file", file=path, expected=expected, found=found, remedy="name the file itself"
        )
    return path
