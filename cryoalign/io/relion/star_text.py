"""The grammar of STAR files: blocks, labels, rows, and what quotes and ``#`` mean.

A value that begins with a quote ends at the same quote before a blank; a ``#`` begins a comment only where a
value could begin. Inside a value both are letters like others, as in ``o'brien/a#1.mrcs``. RELION reads
them so, after the rules of CIF (Hall, Allen and Brown 1991, DOI 10.1107/S010876739101067X).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

import pandas as pd

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_VALUE = re.compile(
    r"""'(.*?)'(?=\s|$) | "(.*?)"(?=\s|$) | (\#.*) | ([^\s'"].*?)(?=\s|$) | (\S.*)""", re.VERBOSE
)
_SEPARATOR = "\x1f"  # never inside a value: str.split takes it for a blank
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
        If a quote is opened and not closed.

    Examples
    --------
    >>> values("000001@o'brien/a.mrcs 'two words' 1.5  # a remark")
    ["000001@o'brien/a.mrcs", 'two words', '1.5']
    """
    if not ("'" in line or '"' in line or "#" in line):
        return line.split()
    found = []
    for single, double, comment, plain, unclosed in _VALUE.findall(line):
        if comment:
            break
        if unclosed:
            raise ValueError("No closing quotation")
        found.append(single or double or plain)
    return found


def quoted(table: pd.DataFrame) -> pd.DataFrame:
    """Quote the cells that would be read as something else; those with blanks are left to starfile.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    DataFrame
        `table`, or a copy of it.
    """
    text = table.select_dtypes(include=["object", "str"])
    odd = text.map(
        lambda cell: isinstance(cell, str) and cell[:1] in {"'", '"', "#", "_"} and " " not in cell
    )
    columns = [name for name in text if odd[name].any()]
    if not columns:
        return table
    marks = text[columns].map(lambda cell: '"' if str(cell).startswith("'") else "'")
    return table.assign(
        **{
            str(name): text[name].where(~odd[name], marks[name] + text[name].astype("str") + marks[name])
            for name in columns
        }
    )


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
        If it is not a STAR file, names a table or a column twice, has no columns, or a row has too few
        or too many values.
    """
    blocks: dict[str, _Block] = {}
    block: _Block | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, *behind = line.split(maxsplit=1)
        if name.startswith("data_") and (not behind or behind[0].startswith("#")):
            block = _Block(name[5:])
            if block.name in blocks:
                raise InputError(
                    f"there are two tables data_{block.name}", file=path, remedy="keep one of them"
                )
            blocks[block.name] = block
        elif block is not None:
            _read_line(path, block, line)
    if not blocks:
        raise InputError(
            "this is not a STAR file", file=path, expected="a line that starts with data_", found="none"
        )
    tables = {name: _table(path, block) for name, block in blocks.items() if block.labels}
    if not tables:
        raise InputError("this STAR file cannot be read", file=path, found="no table with columns")
    return tables


def _read_line(path: Path, block: _Block, line: str) -> None:
    """Read one line of a block: ``loop_``, a label, or a row of values."""
    if line.startswith("loop_") and len(line.split()) == 1:
        block.loop = True
    elif line.startswith("_") and not (block.loop and block.rows):
        _read_label(path, block, line)
    elif block.loop:
        block.rows.append(_row(path, block, line))


def _read_label(path: Path, block: _Block, line: str) -> None:
    """Read a label, and outside a loop the value behind it."""
    label = line.split(maxsplit=1)[0][1:]
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
        raise InputError("this STAR file cannot be read", file=path, found=error) from error
    block.rows.clear()
    return table.where(table.notna(), "nan")
