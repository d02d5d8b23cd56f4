"""Optics groups of a CryoSPARC table, whose columns repeat them in every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.cryosparc.columns import numbers, optional, refuse
from cryoalign.particles import Optics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.io.cryosparc.table import CsTable

LENS = ("ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast")
ABERRATIONS = {"ctf/shift_A": 2, "ctf/tilt_A": 2, "ctf/trefoil_A": 2, "ctf/tetra_A": 4, "ctf/anisomag": 4}
"""Columns of higher aberrations and their widths; zero means none, in the magnification matrix, too."""


def read_optics(table: CsTable) -> tuple[tuple[Optics, ...], NDArray[np.int64]]:
    """Return an optics group of each distinct set of values, and (N,) the index of each particle's."""
    box = numbers(table, "blob/shape", 2)
    refuse(table, "blob/shape", box[:, 0] != box[:, 1], "is not square", "two equal sizes in px")
    refuse(table, "blob/shape", (box < 2).any(axis=1), "is too small", "2 px or more")
    active = [
        (numbers(table, name, width) != 0).any(axis=1) if name in table else np.zeros(len(table), bool)
        for name, width in ABERRATIONS.items()
    ]
    columns = [
        optional(table, "ctf/exp_group_id", 0.0),
        numbers(table, "blob/psize_A"),
        *(numbers(table, name) for name in LENS),
        box[:, 0],
        *active,
    ]
    values, index = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    groups, seen = [], dict[int, int]()
    for rank, row in enumerate(values.tolist(), start=1):
        exposure, pixel_size, voltage, aberration, contrast, size, *flags = row
        seen[int(exposure)] = seen.get(int(exposure), 0) + 1
        number = f"_{seen[int(exposure)]}" if seen[int(exposure)] > 1 else ""
        groups.append(
            Optics(
                group=rank,
                name=f"exposureGroup{int(exposure)}{number}",
                pixel_size=_rounded(pixel_size),
                voltage=_rounded(voltage),
                spherical_aberration=_rounded(aberration),
                amplitude_contrast=_rounded(contrast),
                box_size=int(size),
                unmodelled=tuple(name for name, flag in zip(ABERRATIONS, flags, strict=True) if flag),
            )
        )
    return tuple(groups), index.reshape(-1).astype(np.int64)


def _rounded(value: float) -> float:
    """Return the number that the file's float32 stands for: 2.95 and not 2.9500000477."""
    return float(f"{value:.7g}")
