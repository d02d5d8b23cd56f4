"""Shifts of another sign, unit or pixel size, or with x and y exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from cryoalign.audit.hypotheses.hypothesis import Hypothesis
from cryoalign.physics.fourier import shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.audit.hypotheses.hypothesis import Basis

#: Multiples of the claimed shift by which images are moved further.
MOVES = tuple(sign * step for sign in (-1, 1) for step in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0))
_STILL = 0.05  # px: shifts that vary less show nothing
_NEAR = 0.12  # relative, of a factor to the one it is named after
_CLOSE = 0.05  # the same, absolute


@final
@dataclass(frozen=True)
class Shift(Hypothesis):
    """Each image moved further, in most cases by a multiple of its claimed shift.

    Attributes
    ----------
    label : str
        The name.
    move : (n, 2) tensor
        In px.
    multiple : float or None
        Of the claimed shift.
    """

    label: str
    move: torch.Tensor
    multiple: float | None = None
    family = "shift"
    scan = "shift"
    remedy = "correct the shifts' sign and unit (rlnOriginXAngst in A) and simulate anew"

    @classmethod
    def every(cls, basis: Basis) -> Iterator[Shift]:
        if not shifts_vary(basis):
            return
        claim = torch.from_numpy(basis.claimed_shift).float()
        original = basis.original_pixel_size
        named = {original - 1, 1 / original - 1, 1 - original, 1 - 1 / original}
        scan = np.array(MOVES)
        more = [value for value in named if 0.1 < abs(value) < 4 and np.abs(scan - value).min() > 0.02]
        for value in sorted({*MOVES, *more}):
            yield cls(basis, f"shift {value:+.2f}", -value * claim, value)
        for name, axis in (("x", torch.tensor([1.0, 0.0])), ("y", torch.tensor([0.0, 1.0]))):
            for value in (-2.0, 2.0):
                yield cls(basis, f"shift {value:+.2f} along {name}", -value * claim * axis)
        yield cls(basis, "shift x and y exchanged", claim - claim.flip(1))

    @property
    def name(self) -> str:
        return self.label

    @property
    def value(self) -> float | None:
        return self.multiple

    @property
    def factor(self) -> float | None:
        return None if self.multiple is None else 1.0 + self.multiple

    @property
    def line(self) -> str:
        if self.factor is None:
            return f"shifts differ between sim and raw: {self.name}"
        effect = describe_factor(self.factor, self.basis.original_pixel_size)
        return f"seen from raw, the shifts of the metadata and of sim have {effect}"

    def images(self) -> torch.Tensor:
        return shift(self.basis.spectra, self.move, self.basis.sample.box)


def shifts_vary(basis: Basis) -> bool:
    """Return whether the claimed shifts vary enough to be tested."""
    return not basis.claimed_shift.std(0).max() < _STILL


def describe_factor(factor: float, pixel_size: float) -> str:
    """Name a factor on the shift after the mistake that makes it.

    Parameters
    ----------
    factor : float
    pixel_size : float
        Of the original images in A.

    Returns
    -------
    str
        To stand behind "the shifts have".
    """
    if abs(factor + 1) < _NEAR:
        return "the wrong sign"
    for unit in (pixel_size, 1 / pixel_size):
        if abs(np.log(pixel_size)) > _NEAR and abs(factor - unit) < max(_NEAR * unit, _CLOSE):
            return f"a factor of {factor:.2f}, as with A and px exchanged at {pixel_size:.4g} A/px"
    if abs(factor) < _NEAR:
        return "no effect"
    return f"a factor of {factor:.2f}, as with another pixel size (of the alignment, not of the images)"
