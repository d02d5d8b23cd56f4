"""The sims that a job refines: of a shard its own rows of a table, and a few by which all are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryoalign.data.background_share import evenly
from cryoalign.io.locate import locate_named, locate_stacks
from cryoalign.io.metadata import read_particles, read_rows
from cryoalign.io.stack_files import StackFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.io.file_plan import FilePlan
    from cryoalign.particles import Optics, Particles


class Sims(NamedTuple):
    """Sims, as far as a job has to know them.

    Attributes
    ----------
    particles : Particles
        By row: all, or those of a shard and those by which the whole is judged.
    stacks : dict of str to Path
        The file of each stack of the whole table.
    total : int
        Rows of the whole table.
    judged : (n,) int64, optional
        0-based rows of `particles` by which the whole is judged; all if not given.
    """

    particles: Particles
    stacks: dict[str, Path]
    total: int
    judged: NDArray[np.int64] | None = None

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where in `particles` some 0-based rows of the whole table are."""
        return rows if self.judged is None else np.searchsorted(self.particles.row, rows + 1)


def read_sims(star: Path, passthrough: Sequence[Path], root: Path | None, plan: FilePlan, draws: int) -> Sims:
    """Read the sims of a plan: of a shard only its rows, where they suffice.

    They do not of CryoSPARC's files, where optics groups differ in pixel size, box or premultiplication, and
    where a row is refused: that is said of the whole.

    Parameters
    ----------
    star, passthrough, root, plan, draws
        As of `cryoalign.export.fakes.export_fakes`.

    Returns
    -------
    Sims

    Raises
    ------
    InputError
        If the metadata cannot be used, or a stack that they name is not there.
    """

    def asked(empty: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.concatenate([np.arange(len(empty))[_own(plan, len(empty), draws)], evenly(~empty)])

    found = read_rows(star, asked, of_sims=True) if plan.is_shard and not passthrough else None
    if found is None or not _alike(found.particles.optics):
        particles = read_particles(star, passthrough)
        return Sims(particles, locate_stacks(particles, root), len(particles))
    stacks = locate_named(found.stacks, star, root)
    judged = np.searchsorted(found.particles.row, evenly(~found.empty) + 1)
    return Sims(found.particles, stacks, len(found.empty), judged)


def _own(plan: FilePlan, count: int, draws: int) -> slice:
    """Return which of so many images a job refines, once or more often each."""
    files = StackFiles("fake", count, plan.per_file)
    made = plan.files(len(files) * draws)
    if not made:
        return slice(0)
    return slice(files.images(made[0] // draws).start, files.images(made[-1] // draws).stop)


def _alike(optics: Sequence[Optics]) -> bool:
    """Return whether images of all groups are treated alike, whichever of them a job sees."""
    kinds = {(group.pixel_size, group.box_size, group.premultiplied) for group in optics}
    return len(kinds) == 1 and next(iter(kinds))[1] is not None
