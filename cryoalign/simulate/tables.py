"""The metadata of new particles, written as they are drawn: no table of all of them is ever held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.cryosparc.write import cryosparc_columns, write_parts
from cryoalign.io.relion.write import write_particle_parts
from cryoalign.simulate.stacks import rows_in_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cryoalign.particles import Particles
    from cryoalign.population.population import Population
    from cryoalign.simulate.stacks import ImageStack


def write_population(
    star: Path,
    cs: Path,
    population: Population,
    stacks: list[ImageStack],
    notes: Mapping[str, Any] | None,
) -> None:
    """Write the STAR file of new particles, and if they are like CryoSPARC's the ``.cs`` file, too.

    Parameters
    ----------
    star, cs : Path
        The files to make.
    population : Population
    stacks : list of ImageStack
        Where their images are.
    notes : mapping, optional
        What the images were made with.
    """

    def parts() -> Iterator[Particles]:
        return (rows_in_stacks(particles, stacks, rows) for rows, particles in population.parts())

    write_particle_parts(star, parts(), notes=notes)
    if from_cryosparc(population.like):
        write_parts(cs, lambda: map(_cryosparc, parts()))


def _cryosparc(particles: Particles) -> dict[str, NDArray[Any]]:
    box = particles.optics_column("box_size").astype(np.uint32)
    return cryosparc_columns(particles, stack=particles.stack, slot=particles.slot, box=box)
