"""The same few particles of every arm, read from the stacks that its test wrote."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.figures.gallery import gallery
from cryoalign.figures.panels import KINDS
from cryoalign.io.mrc import MrcStack
from cryoalign.io.relion.star import read_star

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.report.arms import Arm, Comparison

_SHOWN = 4
_SAME = 0.99  # correlation of two copies of one raw image; range and scale may differ
_LINE, _LINES = 20, 4  # characters and lines of an arm's name in the picture
_ARMS = 8  # more make the picture, and the page, too large
_TABLE, _ORIGINAL = "fake.star", "rlnImageOriginalName"


@dataclass(frozen=True)
class Gallery:
    """A picture of particles.

    Attributes
    ----------
    png : bytes
        Empty where there is nothing to show.
    notes : tuple of str
        Which arms are not in it, and why.
    """

    png: bytes
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Test:
    """Stacks of a test, and which particle each image shows."""

    arm: Arm
    folder: Path
    names: tuple[str, ...]
    box: int

    def images(self, kind: str, names: Sequence[str]) -> NDArray[np.float32]:
        """Read the sim, fake or raw images of some particles."""
        stack = MrcStack(self.folder / f"{kind}.mrcs")
        return np.stack([stack.read(self.names.index(name)) for name in names])


def particle_gallery(comparison: Comparison) -> Gallery:
    """Draw sim, the fakes of each arm and raw, for a few particles that all arms were tested on.

    Particles are matched by the name of their raw image. An arm is shown by its first run that kept its
    stacks.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Gallery
    """
    notes, tests = [], list[_Test]()
    names: list[str] = []  # of the particles that all arms in the picture were tested on
    for arm in comparison.arms[:_ARMS]:
        try:
            test = _read_test(arm)
            reason = _unlike(test, tests[0], names) if tests else ""
        except InputError as error:
            reason = f"the stacks of its test cannot be read ({str(error).splitlines()[0]})"
        if reason:
            notes.append(f"Without {comparison.label(arm)}: {reason}.")
            continue
        names = [name for name in names if name in set(test.names)] if tests else list(test.names)
        tests.append(test)
    if len(comparison.arms) > _ARMS:
        notes.append(f"The first {_ARMS} arms are shown.")
    if not tests:
        return Gallery(b"", tuple(notes))
    chosen = [names[place] for place in _spread_out(len(names))]
    first = tests[0]
    rows = {"sim": first.images("sim", chosen)}
    rows |= {_row_name(comparison, test.arm): test.images("fake", chosen) for test in tests}
    rows |= {"raw": first.images("raw", chosen)}
    buffer = io.BytesIO()
    gallery(rows, first.arm.runs[0].pixel_size).savefig(buffer, format="png")
    return Gallery(buffer.getvalue(), tuple(notes))


def _read_test(arm: Arm) -> _Test:
    """Find the stacks of an arm's first run that kept them."""
    for run in arm.runs:
        folder = run.folder / "test"
        stacks = [folder / f"{kind}.mrcs" for kind in KINDS]
        if not all(path.is_file() for path in (*stacks, folder / _TABLE)):
            continue
        table = read_star(folder / _TABLE).get("particles")
        if table is None or _ORIGINAL not in table:
            raise InputError(f"no {_ORIGINAL} in {folder / _TABLE}", remedy="test the run again")
        boxes = {MrcStack(path).box for path in stacks}
        if len(boxes) > 1:
            raise InputError("sim, fake and raw have several boxes", remedy="test the run again")
        return _Test(arm, folder, tuple(map(str, table[_ORIGINAL])), boxes.pop())
    raise InputError("no run kept them", remedy="train with test=true")


def _unlike(test: _Test, first: _Test, names: Sequence[str]) -> str:
    """Why an arm cannot be shown with the first one; empty where it can."""
    sizes = [(entry.box, entry.arm.runs[0].pixel_size) for entry in (test, first)]
    if sizes[0] != sizes[1]:
        return f"its images have another box or pixel size than those of arm {first.arm.letter}"
    common = [name for name in names if name in set(test.names)]
    if not common:
        return f"it was tested on other particles than arm {first.arm.letter} (another split)"
    here, there = (entry.images("raw", common[:1]).ravel() for entry in (test, first))
    if not np.corrcoef(here, there)[0, 1] > _SAME:
        return f"its raw images are others than those of arm {first.arm.letter}, by the same names"
    return ""


def _spread_out(count: int) -> list[int]:
    """Places of a few particles among so many."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(_SHOWN, count)).tolist()})


def _row_name(comparison: Comparison, arm: Arm) -> str:
    """Letter and name of an arm, a setting a line; of all arms the letter alone where one has no room."""
    lines = [line for entry in comparison.arms for line in entry.name.split(",")]
    most = max(entry.name.count(",") for entry in comparison.arms)
    roomy = max(map(len, lines)) <= _LINE and most < _LINES
    return "\n".join([arm.letter, *(arm.name.split(",") if roomy and arm.name else ())])
