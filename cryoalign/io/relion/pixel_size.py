"""Pixel sizes of RELION STAR files: said directly, or by the detector and the magnification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.relion.star import numbers

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

PIXEL_SIZE = ("rlnImagePixelSize", "rlnPixelSize")
MAGNIFICATION = ("rlnMagnification", "rlnDetectorPixelSize")
_SAME_PIXEL_SIZE = 0.01  # relative difference of two columns that say the same


def pixel_sizes(path: Path, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Return (N,) pixel sizes in A, said directly or as 10^4 x detector pixel size in um / magnification."""
    direct = next((name for name in PIXEL_SIZE if name in table), None)
    if direct is not None:
        sizes = numbers(table, direct, path, where=where)
        if all(name in table for name in MAGNIFICATION) and not (where and direct == PIXEL_SIZE[0]):
            _refuse_contradiction(path, direct, sizes, _magnified(path, table, where))
        return sizes
    if any(name not in table for name in MAGNIFICATION):
        raise InputError(
            f"there is no pixel size{f' in table {where}' if where else ''}",
            file=path,
            expected=f"{PIXEL_SIZE[0]}, or {' and '.join(MAGNIFICATION)}",
            remedy="add the column",
        )
    return _magnified(path, table, where)


def _refuse_contradiction(
    path: Path, name: str, sizes: NDArray[np.float64], magnified: NDArray[np.float64]
) -> None:
    """Refuse a single table with two pixel sizes: RELION's own converter takes that of the magnification."""
    other = np.flatnonzero(~(np.abs(magnified / sizes - 1) <= _SAME_PIXEL_SIZE))
    if len(other):
        row = int(other[0])
        raise InputError(
            f"{name} contradicts {' and '.join(MAGNIFICATION)} ({len(other)} of {len(sizes)} rows)",
            file=path,
            row=row + 1,
            expected=f"one pixel size, within {_SAME_PIXEL_SIZE:.0%}",
            found=f"{name} {sizes[row]:g} A, and 10000 x {MAGNIFICATION[1]} / {MAGNIFICATION[0]} = "
            f"{magnified[row]:.4g} A, which RELION's converter takes",
            remedy="give the right one with pixel_size= (data.pixel_size= in a training)",
        )


def _magnified(path: Path, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Return 10^4 x detector pixel size in um / magnification, in A."""
    magnification, detector = (numbers(table, name, path, where=where) for name in MAGNIFICATION)
    bad = np.flatnonzero(magnification <= 0)
    if len(bad):
        raise InputError(
            "the magnification is not positive",
            file=path,
            row=int(bad[0]) + 1,
            expected="above 0",
            found=f"{magnification[bad[0]]:g}",
            remedy="correct the cell, or remove the row",
        )
    return 1e4 * detector / magnification
