"""Images as float16 (MRC mode 12): half the disk, where nothing is lost by it.

RELION reads the mode from version 4 on, CryoSPARC from 4.4 on. A float16 has 11 significant bits and ends at
65,504: the rounding of an image of mean 0 is 3e-4 of its standard deviation.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoalign.errors import InputError, choice

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

Precision = Literal["float32", "float16"]
"""How the pixels of a stack are written: MRC modes 2 and 12."""
_MOST_ROUNDING = 1e-3  # of the standard deviation of an image
_REMEDY = "write float32 (leave dtype out)"


def checked_precision(dtype: Precision) -> Precision:
    """Return a known precision; warn of float16, refuse others."""
    choice("dtype", dtype, ("float32", "float16"))
    if dtype == "float16":
        _log.warning(
            "float16 stacks (MRC mode 12) are read by RELION 4 and CryoSPARC 4.4 or later; RELION 3 cannot "
            "read them"
        )
    return dtype


def to_half(block: NDArray[np.float32], path: Path, first: int) -> NDArray[np.float16]:
    """Return images as float16; refuse those that would lose something.

    Parameters
    ----------
    block : (B, N, N) float32
    path : Path
        The stack, for the error.
    first : int
        0-based number of the first image there, in the order of writing, for the error.

    Raises
    ------
    InputError
        If a value overflows, or rounding changes an image by more than 1e-3 of its standard deviation (root
        mean square). A constant image may be rounded.
    """
    with np.errstate(over="ignore"):
        half = block.astype("<f2")
    found = half.astype(np.float32)
    spread: NDArray[np.float64] = block.std(axis=(1, 2), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        error: NDArray[np.float64] = np.sqrt(np.square(found - block, dtype=np.float64).mean(axis=(1, 2)))
    over = ~np.asarray(np.isfinite(found).all(axis=(1, 2)))
    bad = np.flatnonzero(over | ((error > _MOST_ROUNDING * spread) & (spread > 0)))
    if len(bad):
        number = int(bad[0])
        raise InputError(
            "an image does not fit into float16",
            file=path,
            expected=f"values up to 65,504, and rounding of {_MOST_ROUNDING:g} of an image's spread",
            found=f"values up to {np.abs(block[number]).max():g} in image {first + number + 1}"
            if over[number]
            else f"rounding of {error[number] / spread[number]:.2g} of it in image {first + number + 1}, of "
            f"mean {block[number].mean():.4g} and standard deviation {spread[number]:.4g}",
            remedy=_REMEDY,
        )
    return half
