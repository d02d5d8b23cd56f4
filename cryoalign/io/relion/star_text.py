"""The grammar of STAR files: blocks, labels, rows, and what quotes and ``#`` mean.

A value that begins with a quote ends at the same quote before a blank; a ``#`` begins a comment only where a
value could begin. Inside a value both are letters like others, as in ``o'brien/a#1.mrcs``. RELION reads
them so, after the rules of CIF (Hall, Allen and Brown 1991, DOI 10.1107/S010876739101067X). Blanks and line
ends are those of ASCII: Unicode has more (U+00A0, U+0085, U+2028), which are letters of a name here.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_VALUE = re.compile(
    r"""'(.*?)'(?=\s|$) | "(.*?)"(?=\s|$) | (\#.*) | ([^\s'"].*?)(?=\s|$) | (\S.*)""",
    re.VERBOSE | re.ASCII,
)
_BLANKS = " \t\r\v\f"
_BLANK = re.compile(f"[{_BLANKS}]+")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")
_UNREADABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
# Also what starfile's writer takes for the end of a line.
_UNWRITABLE = re.compile("[\x00-\x1f\x85\u2028\u2029\ud800-\udfff]")
_ODD = re.compile("""^$|^['"#_]|[\x00- \x85\u2028\u2029\ud800-\udfff]""")
_SEPARATOR = "\x1f"  # never inside a value: `parse` refuses it
_MISSING = ["nan", "NaN", "<NA>"]


def values(line: str) -> list[str]:
    """Split a line into its values, without quotes and comments.

    Parameters
    ----------
    line : str

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If a quote is opened and not closed, or a tab stands between two.

    Examples
    --------
    >>> values("000001@o'brien/a.mrcs 'two words' 1.5  # a remark")
    ["000001@o'brien/a.mrcs", 'two words', '1.5']
    """
    if not ("'" in line or '"' in line or "#" in line):
        return _words(line)
    found = []
    for single, double, comment, plain, unclosed in _VALUE.findall(line):
        if comment:
            break
        if unclosed:
            raise ValueError("No closing quotation")
        value = single or double or plain
        if _UNREADABLE.search(value):
            raise ValueError("a control character within quotes")
        found.append(value)
    return found


def _words(line: str, most: int = -1) -> list[str]:
    """Split at the blanks of ASCII; str.split knows further ones, but only outside of ASCII."""
    if line.isascii():
        return line.split(None, most)
    return _BLANK.split(line.strip(_BLANKS), maxsplit=max(most, 0))


def is_writable(text: str) -> bool:
    """Return whether text can be a value in a STAR file: no line break, tab, or half of a character.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool
    """
    return _UNWRITABLE.search(text) is None and any(_ends_late(text, mark) for mark in "\"'")


def quoted(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Quote the cells that would be read as something else.

    Parameters
    ----------
    path : Path
        The file to be written, for the error.
    table : DataFrame

    Returns
    -------
    DataFrame
        `table`, or a copy of it.

    Raises
    ------
    InputError
        Naming the first row with text that no STAR file can hold.
    """
    marked = {}
    for name, cells in table.select_dtypes(include=["object", "str"]).items():
        odd = cells.map(_is_odd).to_numpy(dtype=bool)
        for row in np.flatnonzero(odd).tolist():
            if not is_writable(cells.iloc[row]):
                raise InputError(
                    f"{name} cannot be written into a STAR file",
                    file=path,
                    row=row + 1,
                    expected="text without tabs, line breaks and other control characters",
                    found=ascii(cells.iloc[row]),
                    remedy="rename what the cell names, or take the character out",
                )
        if odd.any():
            marked[str(name)] = cells.map(lambda cell: _quote(cell) if _is_odd(cell) else cell)
    return table.assign(**marked) if marked else table


def _is_odd(cell: object) -> bool:
    return isinstance(cell, str) and _ODD.search(cell) is not None


def _quote(cell: str) -> str:
    """Put a cell between quotes that end where it ends."""
    marks = "\"'" if not cell or " " in cell or cell.startswith("'") else "'\""
    mark = next(mark for mark in marks if _ends_late(cell, mark))
    return f"{mark}{cell}{mark}"


def _ends_late(text: str, mark: str) -> bool:
    """Return whether text between two of these quotes is read whole: none of them before a blank."""
    return f"{mark} " not in text


@dataclass
class _Block:
    """A block as far as it was read: of a loop the rows, else one row that grows with the labels."""

    name: str
    loop: bool = False
    labels: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)


def parse(path: Path, text: str) -> dict[str, pd.DataFrame]:
    """Parse the text of a STAR file.

    Parameters
    ----------
    path : Path
        The file, for errors.
    text : str
        What it holds.

    Returns
    -------
    dict of str to DataFrame
        By the name after ``data_``; every cell is a string, a missing value ``nan``, and a block without
        ``loop_`` is a table of one row.

    Raises
    ------
    InputError
        If it is not a STAR file, names a table or a column twice, has no columns or a control character, or
        a row has too few or too many values.
    """
    _refuse_control(path, text)
    blocks: dict[str, _Block] = {}
    block: _Block | None = None
    for raw in text.split("\n"):
        line = raw.strip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        name, *behind = _words(line, 1)
        if name.startswith("data_") and (not behind or behind[0].startswith("#")):
            block = _Block(name[5:])
            if block.name in blocks:
                raise InputError(
                    f"there are two tables data_{block.name}", file=path, remedy="keep one of them"
                )
            blocks[block.name] = block
        elif block is not None:
            _read_line(path, block, line)
        elif name == "loop_" or name.startswith("_"):
            raise InputError(
                "a table without a name stands before the first one",
                file=path,
                expected="a line that starts with data_ above it",
                found=line[:80],
                remedy="write data_particles above it",
            )
    if not blocks:
        raise InputError(
            "this is not a STAR file",
            file=path,
            expected="a line that starts with data_",
            found="none",
            remedy="give the STAR file of a job of RELION, e.g. run_data.star",
        )
    tables = {name: _table(path, block) for name, block in blocks.items() if block.labels}
    if not tables:
        raise InputError(
            "this STAR file cannot be read",
            file=path,
            expected="a table with columns: loop_ and labels such as _rlnImageName",
            found="no table with columns",
            remedy="give the STAR file of particles",
        )
    return tables


def _refuse_control(path: Path, text: str) -> None:
    """Refuse what no text holds."""
    if found := _CONTROL.search(text):
        raise InputError(
            "the file holds a control character",
            file=path,
            expected="text",
            found=f"{found[0]!a} in line {text.count(chr(10), 0, found.start()) + 1}",
            remedy="remove it; is the file damaged?",
        )


def _read_line(path: Path, block: _Block, line: str) -> None:
    """Read one line of a block: ``loop_``, a label, or a row of values."""
    if line == "loop_":
        block.loop = True
    elif line.startswith("_") and not (block.loop and block.rows):
        _read_label(path, block, line)
    elif block.loop:
        block.rows.append(_row(path, block, line))


def _read_label(path: Path, block: _Block, line: str) -> None:
    """Read a label, and outside a loop the value behind it."""
    label = _words(line, 1)[0][1:]
    if label in block.labels:
        raise InputError(
            f"table data_{block.name} names {label} twice", file=path, remedy="keep one of the two columns"
        )
    block.labels.append(label)
    if block.loop:
        return
    try:
        (value,) = values(line)[1:]
    except ValueError as error:
        raise InputError(
            f"{label} of table data_{block.name} cannot be read",
            file=path,
            expected="one value behind the label",
            found=line[:80],
            remedy="quote a value with blanks, or leave the rest of the line out",
        ) from error
    block.rows = [_SEPARATOR.join([*block.rows, value])]


def _row(path: Path, block: _Block, line: str) -> str:
    """Return the values of a row, joined; refuse one that does not fill the columns."""
    try:
        found = values(line)
        if len(found) == len(block.labels):
            return _SEPARATOR.join(found)
        problem = f"{len(found)} values"
    except ValueError as error:
        problem = f"{error} in: {line[:80]}"
    raise InputError(
        f"a row of table data_{block.name} does not fit its {len(block.labels)} columns",
        file=path,
        row=len(block.rows) + 1,
        expected=f"{len(block.labels)} values, separated by blanks",
        found=problem,
        remedy="correct or remove the row; is the file cut off?",
    )


def _table(path: Path, block: _Block) -> pd.DataFrame:
    """Make a table of the rows; pandas keeps equal cells once."""
    if not block.rows:
        return pd.DataFrame({label: pd.Series(dtype="str") for label in block.labels})
    try:
        table = pd.read_csv(
            StringIO("\n".join(block.rows)),
            sep=_SEPARATOR,
            header=None,
            names=block.labels,
            dtype="str",
            keep_default_na=False,
            na_values=_MISSING,
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,
            engine="c",
        )
    except (ValueError, IndexError) as error:
        raise InputError(
            "this STAR file cannot be read",
            file=path,
            expected="rows of values with blanks between them",
            found=error,
            remedy="copy or write the file again",
        ) from error
    block.rows.clear()
    return table.where(table.notna(), "nan")
