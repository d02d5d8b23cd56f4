"""Tables on a console, with nothing cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

_WIDEST = 1000  # characters that no cell needs
_FOLDED = 20  # characters of a column whose words may be folded
_AROUND = 3  # characters of a column that are no text: a blank on both sides, and a line


def print_whole(console: Console, table: Table) -> None:
    """Print a table with no word and no number cut, wider than the console where it has to be.

    rich takes 80 characters for the width of a pipe, narrows the widest columns first, and cuts their words.

    Parameters
    ----------
    console : rich.console.Console
        It stays as wide as the table.
    table : rich.table.Table
        With one line between the columns, and blanks beside them.
    """
    console.width = max(console.width, least_width(console, table))
    wanted = [_wanted(console, column) for column in table.columns]
    given = [least for least, _ in wanted]
    spare = console.width - least_width(console, table)
    if sum(most for _, most in wanted) - sum(given) > spare:  # rich would have to narrow it
        for _ in range(spare):
            place = max(range(len(given)), key=lambda place: wanted[place][1] - given[place])
            given[place] += 1
        for column, width in zip(table.columns, given, strict=True):
            column.width = width
    console.print(table)


def least_width(console: Console, table: Table) -> int:
    """Return how many characters a table needs for every word to stay whole, whatever the console has.

    Parameters
    ----------
    console : rich.console.Console
    table : rich.table.Table
        As in `print_whole`.
    """
    return 1 + sum(_wanted(console, column)[0] + _AROUND for column in table.columns)


def _wanted(console: Console, column: Column) -> tuple[int, int]:
    """Return the least and the greatest number of characters that the cells of a column need."""
    options = console.options.update(width=_WIDEST)
    cells = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    most = max(cell.maximum for cell in cells)
    least = most if column.no_wrap else max(cell.minimum for cell in cells)
    return (min(least, _FOLDED) if column.overflow == "fold" else least), most
