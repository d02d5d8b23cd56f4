"""STAR files as tables of strings, with errors that name the row.

The reading is starfile's. What it would pass over in silence (rows with too few cells, comments within a
row, tables of one name) is looked for first, and every cell is kept as the text in the file, so that a name
such as ``0012`` stays a name and a cell that should be a number can be quoted when it is not one.
"""

from __future__ import annotations

import linecache
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from starfile.functions import read, write

from cryoalign.errors import InputError, existing
from cryoalign.io.output import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def read_star(path: Path) -> dict[str, pd.DataFrame]:
    """Read every table of a STAR file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to DataFrame
        By the name after ``data_``; every cell is a string, and a block without ``loop_`` is a table of
        one row.

    Raises
    ------
    InputError
        If the file is missing, empty, not a STAR file, names a table or a column twice, or has a row
        with too few or too many values.
    """
    labels = _check_structure(path, _read_text(path))
    try:
        blocks = read(path, always_dict=True, parse_as_string=labels)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError("this STAR file cannot be read", file=path, found=error) from error
    finally:
        linecache.clearcache()  # where starfile leaves the lines of a file that it fails on
    tables = {
        str(name): block if isinstance(block, pd.DataFrame) else pd.DataFrame([block])
        for name, block in blocks.items()
    }
    # starfile takes the text nan for a missing value
    return {name: table.astype("str").where(table.notna(), "nan") for name, table in tables.items()}


def write_star(path: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write tables into a STAR file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make or to replace.
    tables : mapping of str to DataFrame
        By the name after ``data_``.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    """
    with atomic_write(path) as temporary:
        # significant digits, not decimals: small numbers in columns that others wrote survive too
        write(dict[str, Any](tables), temporary, float_format="%.12g", na_rep="nan")


def numbers(table: pd.DataFrame, column: str, path: Path, *, where: str = "") -> NDArray[np.float64]:
    """Convert a column of strings, refusing what is not a finite number.

    Parameters
    ----------
    table : DataFrame
        Of strings or numbers, N rows.
    column : str
        Its column to convert.
    path : Path
        The file, for the error.
    where : str
        The table's name, for the error.

    Returns
    -------
    (N,) float64

    Raises
    ------
    InputError
        Naming the first row whose cell is not a finite number.
    """
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        others = f" (and {len(bad) - 1} more rows)" if len(bad) > 1 else ""
        raise InputError(
            f"{column} is not a finite number{f' in table {where}' if where else ''}",
            file=path,
            row=int(bad[0]) + 1,
            expected="a finite number",
            found=f"{table[column].iloc[bad[0]]}{others}",
            remedy="correct the cell or remove the row",
        )
    return values


def whole_numbers(table: pd.DataFrame, column: str, path: Path, *, where: str = "") -> NDArray[np.int64]:
    """Convert a column of strings, refusing what is not a whole number; otherwise as `numbers`."""
    values = numbers(table, column, path, where=where)
    bad = np.flatnonzero(values != np.round(values))
    if len(bad):
        raise InputError(
            f"{column} is not a whole number",
            file=path,
            row=int(bad[0]) + 1,
            expected="a whole number",
            found=table[column].iloc[bad[0]],
        )
    return values.astype(np.int64)


def _read_text(path: Path) -> str:
    """Read the whole file once it looks like text."""
    existing(path, "a STAR file")
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        if b"\0" in start:
            raise InputError(
                "this is not a STAR file",
                file=path,
                expected="text",
                found="binary data",
            )
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "this is not a STAR file", file=path, expected="UTF-8 text", found=error.reason
        ) from error
    except OSError as error:
        raise InputError("the file cannot be read", file=path, found=error.strerror) from error
    if not text.strip():
        raise InputError(
            "the file is empty", file=path, expected="a STAR file", remedy="copy or write it again"
        )
    return text


class _Block:
    """What the check knows of the block it is in."""

    def __init__(self, name: str) -> None:
        self.name, self.loop, self.rows = name, False, 0
        self.labels: list[str] = []


def _check_structure(path: Path, text: str) -> list[str]:
    """Refuse what starfile would misread in silence; give the labels of all tables."""
    blocks: dict[str, _Block] = {}
    block: _Block | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("data_") and (block is None or len(line.split()) == 1):
            block = _Block(line[5:])
            if block.name in blocks:
                raise InputError(
                    f"there are two tables data_{block.name}", file=path, remedy="keep one of them"
                )
            blocks[block.name] = block
        elif block is not None:
            _check_line(path, block, line)
    if not blocks:
        raise InputError(
            "this is not a STAR file", file=path, expected="a line that starts with data_", found="none"
        )
    return sorted({label for block in blocks.values() for label in block.labels})


def _check_line(path: Path, block: _Block, line: str) -> None:
    """Parse one line of a block: ``loop_``, a label, or a row of values."""
    if line.startswith("loop_"):
        block.loop = True
    elif line.startswith("_") and not block.rows:
        label = line.split(maxsplit=1)[0][1:]
        if label in block.labels:
            raise InputError(
                f"table data_{block.name} names {label} twice",
                file=path,
                remedy="keep one of the two columns",
            )
        block.labels.append(label)
    elif block.loop:
        block.rows += 1
        _check_row(path, block, line)


def _check_row(path: Path, block: _Block, line: str) -> None:
    """Refuse a row that starfile would cut, split or fill up."""
    found: object = None
    try:
        fields = shlex.split(line) if '"' in line or "'" in line else line.split()
    except ValueError as error:
        found = f"{error} in: {line[:80]}"
    else:
        if len(fields) != len(block.labels):
            found = f"{len(fields)} values"
        elif "#" in line:
            found = f"a '#', which starts a comment, in: {line[:80]}"
        elif line.startswith("data_"):
            found = f"a row that starts like a table: {line[:80]}"
    if found is not None:
        raise InputError(
            f"a row of table data_{block.name} does not fit its {len(block.labels)} columns",
            file=path,
            row=block.rows,
            expected=f"{len(block.labels)} values, separated by blanks",
            found=found,
            remedy="correct or remove the row; is the file cut off?",
        )
