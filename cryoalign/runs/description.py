"""The tables by which a run describes itself, read again and held against what a training writes."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any

from cryoalign.errors import InputError
from cryoalign.reading import first_line

if TYPE_CHECKING:
    from pathlib import Path

_NUMBERS = ("radius", "sim_offset", "sim_scale", "raw_low", "raw_high")
REMEDY = "put back the file that the training wrote"


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON file of names and values.

    Raises
    ------
    InputError
        If it is something else.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "this description of a run cannot be read",
            file=path,
            found=first_line(error),
            remedy=REMEDY,
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            "this description of a run cannot be read",
            file=path,
            expected="names and values",
            found=type(content).__name__,
            remedy=REMEDY,
        )
    return content


def check_images(data: dict[str, Any], file: Path) -> None:
    """Refuse a ``data.json`` that does not say what images a run is made for.

    Parameters
    ----------
    data : dict
        Its content.
    file : Path
        Where it was read.

    Raises
    ------
    InputError
        If box, pixel size or normalization are missing, or one of what is there is something else.
    """
    from cryoalign.data.normalize import Normalization  # noqa: PLC0415  brings numpy; names need none

    box, pixel_size = data.get("box"), data.get("pixel_size")
    if type(box) is not int or not 1 <= box <= 2**16:
        raise _wrong(file, "box", "a whole number of px", box)
    if not _is_finite(pixel_size) or pixel_size is None or pixel_size <= 0:
        raise _wrong(file, "pixel_size", "a number of A/px", pixel_size)
    state = data.get("normalization")
    if (
        not isinstance(state, dict)
        or not all(_is_finite(state.get(name)) for name in _NUMBERS)
        or not state["sim_scale"]
    ):
        raise _wrong(file, "normalization", f"the numbers {', '.join(_NUMBERS)}", state)
    try:
        Normalization.from_state(state)
    except (TypeError, ValueError, LookupError, OverflowError, InputError) as error:
        raise _wrong(file, "normalization", "what the training has fitted", first_line(error)) from error
    for name in ("bright_share", "premultiplied"):
        share = data.get(name)
        if share is not None and not (_is_finite(share) and 0 <= share <= 1):
            raise _wrong(file, name, "a share of the simulated images, 0 to 1", share)
    shares = data.get("background_share")
    if shares is None:
        return
    if not isinstance(shares, dict) or not all(_is_finite(shares.get(kind)) for kind in ("sim", "raw")):
        raise _wrong(file, "background_share", "the shares of sim and raw", shares)


def read_split(path: Path) -> list[tuple[str, str]]:
    """Read which image is in which part of a run's split.

    Raises
    ------
    InputError
        If it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(row["rlnImageName"], row["part"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            "this split cannot be read",
            file=path,
            expected="a table with the columns rlnImageName and part",
            found=first_line(error),
            remedy=REMEDY,
        ) from error


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # JSON's whole numbers may be larger


def _wrong(file: Path, key: str, expected: str, found: object) -> InputError:
    return InputError(f"{key} cannot be used", file=file, expected=expected, found=found, remedy=REMEDY)
