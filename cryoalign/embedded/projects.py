"""The embedded data set where a user wants it, in the form that RELION and CryoSPARC leave behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoalign.embedded.make import Files, make_embedded
from cryoalign.embedded.micrographs import MicrographRecipe
from cryoalign.embedded.recipe import UIDS, Recipe, generator
from cryoalign.io.coordinates import box_centres
from cryoalign.io.cryosparc.table import UID
from cryoalign.io.cryosparc.write import write_cryosparc, write_table
from cryoalign.io.output import staged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

_RELION_STACK = "Extract/job005/particles.mrcs"
_CRYOSPARC_STACK = "J5/extract/particles.mrcs"
_MICROGRAPHS = "J2/motioncorrected"


@dataclass(frozen=True)
class EmbeddedProjects:
    """An embedded data set as a RELION and a CryoSPARC project of the same particles.

    Attributes
    ----------
    folder : Path
        Where they lie.
    """

    folder: Path

    @property
    def volume(self) -> Path:
        """The map."""
        return self.folder / "map.mrc"

    @property
    def star(self) -> Path:
        """RELION's particles after a refinement."""
        return self.folder / "relion" / "Refine3D" / "job010" / "run_data.star"

    @property
    def cs(self) -> Path:
        """CryoSPARC's particles after a refinement: images, CTF, poses."""
        return self.folder / "cryosparc" / "J10" / "J10_particles.cs"

    @property
    def passthrough(self) -> Path:
        """What CryoSPARC's refinement only passed through: where on which micrograph they were picked."""
        return self.folder / "cryosparc" / "J10" / "J10_passthrough_particles.cs"

    @property
    def truth(self) -> Path:
        """The same images without noise; ``truth.cs`` next to it has CryoSPARC's uids."""
        return self.folder / "truth" / "truth.star"


def write_projects(
    out: Path | str,
    recipe: Recipe,
    *,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = False,
) -> EmbeddedProjects:
    """Write an embedded data set into a folder.

    Parameters
    ----------
    out : Path or str
        The folder to make.
    recipe : Recipe
        All that decides what is in it.
    batch_size : int
        Images made at once; no influence on them.
    overwrite : bool
        Replace `out` if it exists and was written by cryoalign.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InputError
        If `out` exists and may not be replaced, or cannot be written.
    """
    with staged(Path(out), overwrite) as folder:
        made = EmbeddedProjects(folder)
        relion, cryosparc = folder / "relion", folder / "cryosparc"
        files = Files(
            volume=made.volume, raw=made.star, project=relion, stack=_RELION_STACK, truth=made.truth,
            recipe=folder / "recipe.json",
        )  # fmt: skip
        particles = make_embedded(files, recipe, batch_size=batch_size, progress=progress)
        (cryosparc / _CRYOSPARC_STACK).parent.mkdir(parents=True)
        made.cs.parent.mkdir()
        _link(relion / _RELION_STACK, cryosparc / _CRYOSPARC_STACK)
        _write_cryosparc(made, particles, recipe)
    return EmbeddedProjects(Path(out))


def _link(source: Path, target: Path) -> None:
    """Let one file have two names; copy it where the disk cannot do that."""
    try:
        target.hardlink_to(source)
    except OSError:
        copyfile(source, target)


def _write_cryosparc(made: EmbeddedProjects, particles: Particles, recipe: Recipe) -> None:
    """Write the particles as CryoSPARC's columns, and those of the truth."""
    uids = _uids(recipe, len(particles))
    table = pd.DataFrame({UID: uids, "alignments3D/psize_A": np.full(len(particles), recipe.sampling)})
    known = replace(particles, table=table)
    write_cryosparc(made.cs, known, stack=_CRYOSPARC_STACK, box=recipe.box)
    write_cryosparc(made.truth.with_suffix(".cs"), known, stack="truth.mrcs", box=recipe.box)
    names, number = np.unique(particles.micrograph, return_inverse=True)
    paths = np.array([f"{_MICROGRAPHS}/{name}".encode() for name in names])
    order = np.argsort(uids)  # CryoSPARC keeps no order between its files
    columns: dict[str, NDArray[Any]] = {
        UID: uids[order],
        "location/micrograph_path": paths[number][order],
        "location/exp_group_id": np.ones(len(particles), dtype=np.uint32),
    }
    if isinstance(recipe, MicrographRecipe):
        columns |= _locations(box_centres(particles, recipe.sampling)[order], recipe)
    write_table(made.passthrough, columns)


def _locations(centres: NDArray[np.float64], recipe: MicrographRecipe) -> dict[str, NDArray[Any]]:
    """Return the columns that say where on its micrograph each box lies, of its centre in A."""
    side, count = recipe.side, len(centres)
    fractions = (centres / recipe.sampling / side).astype(np.float32)
    return {
        "location/center_x_frac": fractions[:, 0],
        "location/center_y_frac": fractions[:, 1],
        "location/micrograph_shape": np.full((count, 2), side, dtype=np.uint32),
        "location/micrograph_psize_A": np.full(count, recipe.sampling, dtype=np.float32),
    }


def _uids(recipe: Recipe, count: int) -> NDArray[np.uint64]:
    """Return the 64-bit numbers by which CryoSPARC knows the particles."""
    draws = [generator(recipe, UIDS, row).integers(1, 2**64, dtype=np.uint64) for row in range(count)]
    return np.array(draws, dtype=np.uint64)
