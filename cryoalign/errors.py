"""The one exception a user can cause: it names the thing, what was expected, what came and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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
        What should have been there, and what was.
    remedy : str, optional
        What to do about it.

    Examples
    --------
    >>> print(InputError("the box is too small", file="run.star", row=3, expected="16 px or more", found=8))
    run.star, row 3: the box is too small
      expected: 16 px or more
      found: 8
    """

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        row: int | None = None,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
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
        state = {name: getattr(self, name) for name in ("file", "row", "expected", "found", "remedy")}
        return _rebuild, (
            self.problem,
            {k: None if v is None else str(v) if k != "row" else v for k, v in state.items()},
        )


def _rebuild(problem: str, state: dict[str, object]) -> InputError:
    return InputError(problem, **state)  # type: ignore[arg-type]
