"""The metadata of simulated images; those of new particles are written as they are drawn, and never held."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.cryosparc.write import cryosparc_columns, write_cryosparc, write_parts
from cryoalign.io.neighbour_table import neighbour_table, places_in_image
from cryoalign.io.relion.classes import model_classes
from cryoalign.io.relion.write import write_particle_parts, write_particles
from cryoalign.particles import Particles
from cryoalign.population.crowd import Crowd
from cryoalign.population.places import REACH
from cryoalign.simulate.stacks import in_stacks, rows_in_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.population.population import Population
    from cryoalign.simulate.neighbours import Neighbours
    from cryoalign.simulate.stacks import ImageStack

STAR, CS = "sim.star", "sim.cs"


def write_metadata(
    folder: Path,
    particles: Particles | Population,
    stacks: list[ImageStack],
    notes: Mapping[str, Any] | None,
    prefix: str,
    *,
    around: Neighbours | None = None,
) -> None:
    """Write ``sim.star``, and of CryoSPARC's particles or new ones like them ``sim.cs``, too.

    Parameters
    ----------
    folder : Path
        Of the files to make.
    particles : Particles or Population
        What was simulated.
    stacks : list of ImageStack
        Where the images are.
    notes : mapping, optional
        What they were made with.
    prefix : str
        What stands before the stack names in ``sim.star``; a ``.cs`` names them relative to its folder.
    around : Neighbours, optional
        What was drawn around them: of new ones ``sim_neighbours.star`` has a row for each.
    """
    if not isinstance(particles, Particles):
        _write_population(folder, particles, stacks, notes, prefix)
        if around is not None:
            crowd = Crowd(particles, around.places)  # of a population that has its identity
            _write_neighbours(folder, crowd, stacks, notes, prefix)
        return
    simulated = in_stacks(particles, stacks)
    original = particles.image_name
    write_particles(folder / STAR, _prefixed(simulated, prefix), original_names=original, notes=notes)
    if from_cryosparc(particles):
        box = simulated.optics_column("box_size").astype(np.uint32)
        write_cryosparc(folder / CS, simulated, stack=simulated.stack, slot=simulated.slot, box=box)


def _write_population(
    folder: Path,
    population: Population,
    stacks: list[ImageStack],
    notes: Mapping[str, Any] | None,
    prefix: str,
) -> None:
    def parts() -> Iterator[Particles]:
        return (rows_in_stacks(particles, stacks, rows) for rows, particles in population.parts())

    classes = None
    if population.classes.several:
        classes = model_classes(population.class_numbers, population.maps)
    prefixed = (_prefixed(part, prefix) for part in parts())
    write_particle_parts(folder / STAR, prefixed, classes=classes, notes=notes)
    if from_cryosparc(population.like):
        write_parts(folder / CS, lambda: map(_cryosparc, parts()))


def _write_neighbours(
    folder: Path, crowd: Crowd, stacks: list[ImageStack], notes: Mapping[str, Any] | None, prefix: str
) -> None:
    """Write ``sim_neighbours.star``: what else lies in the images, a row for each; if there is anything."""
    parts = _neighbours(crowd, stacks, prefix)
    if (first := next(parts, None)) is None:
        return
    write_particle_parts(neighbour_table(folder / STAR), chain([first], parts), notes=notes)


def _neighbours(crowd: Crowd, stacks: list[ImageStack], prefix: str) -> Iterator[Particles]:
    """Yield neighbours, those of a thousand images at a time, each with the name of its image."""
    for rows, particles in crowd.population.parts():
        images = _prefixed(rows_in_stacks(particles, stacks, rows), prefix)
        box, pixel_size = (images.optics_column(name) for name in ("box_size", "pixel_size"))
        here, _, found = crowd.around(rows, REACH * box)
        if len(here):
            places = places_in_image(found, box[here], pixel_size[here])
            found = replace(found, stack=images.stack[here], slot=images.slot[here])
            yield replace(found, table=found.table.assign(**places))


def _prefixed(particles: Particles, prefix: str) -> Particles:
    """Return particles whose stacks have longer names."""
    return replace(particles, stack=np.char.add(prefix, particles.stack)) if prefix else particles


def _cryosparc(particles: Particles) -> dict[str, NDArray[Any]]:
    box = particles.optics_column("box_size").astype(np.uint32)
    return cryosparc_columns(particles, stack=particles.stack, slot=particles.slot, box=box)
