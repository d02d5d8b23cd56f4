"""Images of inverted contrast, mirrored or turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

from cryoalign.audit.hypotheses.hypothesis import Hypothesis
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from cryoalign.audit.hypotheses.hypothesis import Basis


@final
@dataclass(frozen=True)
class Contrast(Hypothesis):
    """Black particles where the others are white."""

    name = "contrast"
    family = "contrast"
    line = (
        "contrast is inverted between sim and raw (or the CTF of one has the other sign: images cannot tell)"
    )
    remedy = "multiply the stack with black particles by -1 (relion_image_handler --multiply_constant -1)"

    def images(self) -> torch.Tensor:
        return -self.basis.spectra


class Turn(NamedTuple):
    """A symmetry of the square: its name, how images look by it, how it is undone, and what it does."""

    name: str
    look: str
    undo: str
    apply: Callable[[torch.Tensor], torch.Tensor]


def _about_pixel(*dims: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Mirror about pixel ``N // 2``."""

    def mirrored(images: torch.Tensor) -> torch.Tensor:
        even = 1 if images.shape[-1] % 2 == 0 else 0
        return images.flip(dims).roll([even] * len(dims), dims)

    return mirrored


def _about_middle(dim: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Mirror about the middle of the box, half a pixel off pixel ``N // 2`` if it is even."""
    return lambda images: images.flip(dim)


def _across(then: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda images: then(images.mT)


def _turned(name: str, apply: Callable[[torch.Tensor], torch.Tensor]) -> Turn:
    return Turn(name, f"turned ({name})", f"undo it: {name}", apply)


_UNDO_Y, _UNDO_X = (f"flip them along {axis} (or the poses and shifts)" for axis in "yx")
#: All but the identity; 90 degrees is one direction, 270 the other.
TURNS = (
    Turn("flip y", "y-flipped", _UNDO_Y, _about_pixel(-2)),
    Turn("flip x", "x-flipped", _UNDO_X, _about_pixel(-1)),
    Turn("transpose", "transposed", "exchange their axes", lambda images: images.mT),
    _turned("rotate 180", _about_pixel(-2, -1)),
    _turned("rotate 90", _across(_about_pixel(-2))),
    _turned("rotate 270", _across(_about_pixel(-1))),
    _turned("transpose, rotate 180", _across(_about_pixel(-2, -1))),
)
#: The mirror images differ from those above in even boxes.
EVEN_TURNS = (
    Turn("flip y about the middle of the box", "y-flipped", _UNDO_Y, _about_middle(-2)),
    Turn("flip x about the middle of the box", "x-flipped", _UNDO_X, _about_middle(-1)),
)


@final
@dataclass(frozen=True)
class Flip(Hypothesis):
    """Images mirrored or turned, and perhaps of inverted contrast too."""

    turn: Turn
    inverted: bool
    family = "orientation"

    @classmethod
    def every(cls, basis: Basis) -> Iterator[Flip]:
        for turn in (*TURNS, *(EVEN_TURNS if basis.sample.box % 2 == 0 else ())):
            yield cls(basis, turn, inverted=False)
            yield cls(basis, turn, inverted=True)

    @property
    def name(self) -> str:
        return f"{self.turn.name}, contrast" if self.inverted else self.turn.name

    @property
    def line(self) -> str:
        also = ", and of inverted contrast" if self.inverted else ""
        return f"images look {self.turn.look} between sim and raw{also}"

    @property
    def remedy(self) -> str:
        return f"sim or raw: {self.turn.undo}{'; and invert the contrast' if self.inverted else ''}"

    def images(self) -> torch.Tensor:
        turned = self.turn.apply(self.basis.sample.sims)
        return rfft2(-turned if self.inverted else turned)
