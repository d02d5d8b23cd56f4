"""Unsigned integers that a header calls signed: values above the middle of the range come out negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_ENDS = 0.1  # least share of the pixels in the outer quarter of either sign
_REMEDIES = {
    1: "add 256 to the negative values, and write the stack in mode 2",
    2: "add 65536 to the negative values, and write the stack in mode 2; or write mode 6 into its header",
}


def refuse_wrapped(path: Path, values: NDArray[Any]) -> None:
    """Refuse images whose values pile up at both ends of the signed range and leave its middle empty.

    Read so, what was grey becomes the brightest and the darkest: no image is like that, and negated ones are
    no better. Values that are clipped, exactly at an end, are left aside.

    Parameters
    ----------
    path : Path
        The stack, for the error.
    values : array
        Images of it as they are stored; of unsigned or real numbers nothing is asked.

    Raises
    ------
    InputError
    """
    if values.dtype.kind != "i" or values.dtype.itemsize not in _REMEDIES:
        return
    info = np.iinfo(values.dtype)
    inner = values[(values > info.min) & (values < info.max)].astype(np.float64) / info.max
    if not inner.size:
        return
    below, above = float((inner < -0.5).mean()), float((inner > 0.5).mean())
    middle = float((np.abs(inner) < 0.25).mean())
    if min(below, above) < _ENDS or middle > (below + above) / 4:
        return
    raise InputError(
        "unsigned values seem to be stored as signed ones",
        file=path,
        expected=f"values around one grey, in {values.dtype.name} as its mode says",
        found=f"{below:.0%} of the pixels in the lowest quarter of that range, {above:.0%} in the highest, "
        f"and {middle:.0%} in the middle one",
        remedy=_REMEDIES[values.dtype.itemsize],
    )
