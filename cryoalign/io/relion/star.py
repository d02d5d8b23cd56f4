"""STAR files as tables of strings, with errors that name the row.

Every cell is kept as the text in the file, so that a name such as ``0012`` stays a name and a cell that
should be a number can be quoted when it is not one.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from starfile.writer import StarWriter

from cryoalign.errors import InputError, existing
from cryoalign.io.output import atomic_write
from cryoalign.io.relion.star_text import parse, quoted
from cryoalign.reading import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_HEAD = 3  # lines before a table's labels
LARGEST_WHOLE = 2**53
"""Beyond it, a float64 does not tell whole numbers apart."""


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
    with reading(path):
        return parse(path, _read_text(path))


def write_star(path: Path, tables: Mapping[str, pd.DataFrame | Iterable[pd.DataFrame]]) -> None:
    """Write tables into a STAR file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make or to replace.
    tables : mapping of str to DataFrame, or to an iterable of them
        By the name after ``data_``. Of several with the same columns, each is written before the next is
        asked for.

    Raises
    ------
    InputError
        If the disk is full, the place cannot be written, or a cell holds what no STAR file can hold.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # without starfile's first line, which holds the time: the same content makes the same file
        file.write("# Written by cryoalign\n\n\n")
        for name, given in tables.items():
            end = []
            for number, part in enumerate([given] if isinstance(given, pd.DataFrame) else given):
                *lines, first, second = _block_lines(name, quoted(path, part))
                end = [first, second]
                file.writelines(f"{line}\n" for line in (lines[_HEAD + part.shape[1] :] if number else lines))
            file.writelines(f"{line}\n" for line in end)


def _block_lines(name: str, table: pd.DataFrame) -> list[str]:
    """Return the lines of a table: ``data_NAME``, a blank one, ``loop_``, labels, rows, two blank ones."""
    written: dict[str, Any] = {name: table}
    # significant digits, not decimals: small numbers in columns that others wrote survive too
    writer = StarWriter(written, float_format="%.12g", na_rep="nan", quote_character="")  # quoted already
    return list(writer.data_block_generator())


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
    bad = np.flatnonzero((values != np.round(values)) | (np.abs(values) > LARGEST_WHOLE))
    if len(bad):
        raise InputError(
            f"{column} is not a whole number",
            file=path,
            row=int(bad[0]) + 1,
            expected="a whole number",
            found=table[column].iloc[bad[0]],
            remedy="correct the cell, or remove the row",
        )
    return values.astype(np.int64)


def _read_text(path: Path) -> str:
    """Read the whole file once it looks like text."""
    existing(path, "a STAR file")
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        if b"\0" in start:
            utf_16 = start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or _is_utf_16(start)
            raise InputError(
                "this is not a STAR file",
                file=path,
                expected="UTF-8 text",
                found="UTF-16 text" if utf_16 else "binary data",
                remedy="save it as UTF-8 text" if utf_16 else "give a STAR file, e.g. run_data.star",
            )
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows put a mark before the first line
    except UnicodeDecodeError as error:
        raise InputError(
            "this is not a STAR file",
            file=path,
            expected="UTF-8 text",
            found=error.reason,
            remedy="save it as UTF-8 text",
        ) from error
    except OSError as error:
        raise InputError(
            "the file cannot be read",
            file=path,
            expected="a STAR file",
            found=error.strerror,
            remedy="look at its permissions and its disk, or copy it",
        ) from error
    if not text.strip():
        raise InputError(
            "the file is empty", file=path, expected="a STAR file", remedy="copy or write it again"
        )
    return text


def _is_utf_16(start: bytes) -> bool:
    """Return whether bytes are letters of ASCII with a zero before or behind each, as Windows writes text."""
    texts = [start[: len(start) // 2 * 2].decode(f"utf-16-{order}", "replace") for order in ("le", "be")]
    return any(text.isascii() and "\0" not in text for text in texts)
