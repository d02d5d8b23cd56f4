"""Which stack each simulated image goes into: one for each box size, as RELION keeps them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.locate import locate_stacks
from cryoalign.io.mrc import MrcStack
from cryoalign.io.stack_files import StackFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.io.file_plan import FilePlan
    from cryoalign.particles import Particles
    from cryoalign.population.population import Population

SMALLEST_BOX, LARGEST_BOX = 2, 4096
"""Limits of a box size in px; a volume of the larger one fits into no memory."""


@dataclass(frozen=True)
class ImageStack:
    """A stack to be written.

    Attributes
    ----------
    files : StackFiles
        That its images are in.
    box : int
        Side of its images in px.
    rows : (n,) int64
        0-based rows of the particles that it shows, in the order of its images.
    """

    files: StackFiles
    box: int
    rows: NDArray[np.int64]


def stacks_by_box(particles: Particles | Population, box: int | None, root: Path | None) -> list[ImageStack]:
    """Return the stacks: one for every box size, by size.

    Parameters
    ----------
    particles : Particles or Population
        Of a population, every optics group has a box size: see `with_boxes`.
    box : int, optional
        Of all images in px; else of each optics group what the metadata say, or what its raw stack has.
    root : Path, optional
        Where to look for the raw stacks.

    Returns
    -------
    list of ImageStack
        ``sim``, or ``sim_064px`` and so on where there are several.

    Raises
    ------
    InputError
        If a box size is unknown, too small or too large, or an optics group has two.
    """
    boxes = np.full(len(particles), int(box)) if box is not None else _boxes(particles, root)
    outside = np.flatnonzero((boxes < SMALLEST_BOX) | (boxes > LARGEST_BOX))
    if len(outside):
        found = boxes[outside[0]]
        raise InputError(
            "the box is too " + ("small" if found < SMALLEST_BOX else "large"),
            file=particles.source,
            row=int(particles.row[outside[0]]),
            expected=f"{SMALLEST_BOX} to {LARGEST_BOX} px",
            found=f"{found} px",
            remedy="correct the file, or give the box size as box=VALUE",
        )
    sizes = np.unique(boxes).tolist()
    stems = ["sim"] if len(sizes) == 1 else [f"sim_{size:03d}px" for size in sizes]
    rows = [np.flatnonzero(boxes == size) for size in sizes]
    return [
        ImageStack(StackFiles(stem, len(own)), size, own)
        for stem, size, own in zip(stems, sizes, rows, strict=True)
    ]


def in_files(
    stacks: Sequence[ImageStack], plan: FilePlan, particles: Particles | Population
) -> list[ImageStack]:
    """Return stacks with as many images in a file as planned; of some rows that of all, with -1."""
    if plan.count is not None:
        rows = np.full(plan.count, -1, dtype=np.int64)
        rows[particles.row - 1] = np.arange(len(particles))
        stacks = [ImageStack(StackFiles("sim", plan.count), stacks[0].box, rows)]
    return [replace(stack, files=replace(stack.files, per_file=plan.per_file)) for stack in stacks]


def files_to_make(
    stacks: Sequence[ImageStack], folder: Path, plan: FilePlan
) -> list[list[tuple[Path, NDArray[np.int64]]]]:
    """Return of each stack the files that are to be made here, with the rows of their images."""
    found, first = [], 0
    mine = plan.files(sum(len(stack.files) for stack in stacks))
    for stack in stacks:
        names = stack.files.names
        numbers = [n for n in range(len(names)) if first + n in mine]
        found.append([(folder / names[n], stack.rows[stack.files.images(n)]) for n in numbers])
        first += len(names)
    return found


def with_boxes(population: Population, box: int | None, root: Path | None) -> Population:
    """Return a population whose optics groups have box sizes: those that their measured particles have.

    Parameters
    ----------
    population : Population
    box, root
        As in `stacks_by_box`, which says what is refused.

    Returns
    -------
    Population
    """
    like = population.like
    sized = in_stacks(like, stacks_by_box(like, box, root))
    return replace(population, like=replace(like, optics=sized.optics))


def in_stacks(particles: Particles, stacks: list[ImageStack]) -> Particles:
    """Return the particles as their simulated images: each in its stack, with the box of that.

    Parameters
    ----------
    particles : Particles
        N particles.
    stacks : list of ImageStack
        Of `stacks_by_box`.

    Returns
    -------
    Particles
    """
    optics = list(particles.optics)
    for stack in stacks:
        for index in np.unique(particles.optics_index[stack.rows]).tolist():
            optics[index] = replace(optics[index], box_size=stack.box)
    for index in sorted(set(range(len(optics))) - set(particles.optics_index.tolist())):
        optics[index] = replace(optics[index], box_size=stacks[0].box)  # nobody's: a number for the column
    return rows_in_stacks(replace(particles, optics=tuple(optics)), stacks, np.arange(len(particles)))


def rows_in_stacks(particles: Particles, stacks: list[ImageStack], rows: NDArray[np.int64]) -> Particles:
    """Return some particles, each in its stack.

    Parameters
    ----------
    particles : Particles
        N particles, whose optics groups have box sizes.
    stacks : list of ImageStack
        Of `stacks_by_box`.
    rows : (N,) int64
        Their 0-based rows in the table that the stacks were made for.

    Returns
    -------
    Particles
    """
    name, slot = np.empty(len(rows), dtype=object), np.empty(len(rows), dtype=np.int64)
    for stack in stacks:
        place = np.searchsorted(stack.rows, rows).clip(max=len(stack.rows) - 1)
        here = stack.rows[place] == rows
        name[here], slot[here] = stack.files.places(place[here])
    return replace(particles, stack=name.astype(np.str_), slot=slot)


def _boxes(particles: Particles | Population, root: Path | None) -> NDArray[np.int64]:
    """Return (N,) the box size that the metadata state, else that of the raw stack."""
    boxes = np.array([group.box_size or 0 for group in particles.optics])[particles.optics_index]
    unknown = np.flatnonzero(boxes == 0)
    if len(unknown):
        boxes[unknown] = _stack_boxes(particles.take(unknown), root)
    for index in np.unique(particles.optics_index).tolist():
        found = np.unique(boxes[particles.optics_index == index])
        if len(found) > 1:
            raise InputError(
                f"the images of optics group {particles.optics[index].name} do not have one box size",
                file=particles.source,
                expected="one box size in an optics group",
                found=", ".join(f"{size} px" for size in found),
                remedy="put them into groups of their own, or give a box for all with box=",
            )
    return boxes


def _stack_boxes(particles: Particles, root: Path | None) -> NDArray[np.int64]:
    try:
        stacks = locate_stacks(particles, root)
    except InputError as error:
        raise InputError(
            "the box size is unknown: the metadata do not say it and the raw stack is not there",
            file=particles.source,
            expected="rlnImageSize in the optics table, or the raw stack",
            remedy="give it with box=",
        ) from error
    boxes = {name: MrcStack(path).box for name, path in stacks.items()}
    return np.array([boxes[name] for name in particles.stack.tolist()], dtype=np.int64)
