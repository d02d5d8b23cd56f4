"""The files of an embedded data set: a map, what a microscope makes of it by multislice, and the truth.

Everything is written and read through the files and readers of real data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import torch

from cryoalign.embedded.fold import fold
from cryoalign.embedded.recipe import FORMAT, NEIGHBOUR, Recipe, draw_particles, draw_view, generator
from cryoalign.io.mrc import StackWriter
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.displacement import occupied
from cryoalign.physics.potential import Atoms, potential
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles


@dataclass(frozen=True)
class Files:
    """Where the files of an embedded data set lie.

    Attributes
    ----------
    volume : Path
        The map.
    raw : Path
        STAR file of what the microscope recorded.
    project : Path
        The folder that the name of raw's stack is relative to: that of `raw`, or one above it.
    stack : str
        Name of raw's stack in `raw`.
    truth : Path
        STAR file of the same images without noise; their stack lies next to it.
    recipe : Path
        What the data set was made from, as JSON.
    """

    volume: Path
    raw: Path
    project: Path
    stack: str
    truth: Path
    recipe: Path


def make_embedded(files: Files, recipe: Recipe, *, batch_size: int = 32, progress: bool = False) -> Particles:
    """Make an embedded data set.

    Parameters
    ----------
    files : Files
        The files to make; their folders are made where they are missing.
    recipe : Recipe
        All that decides what is in them.
    batch_size : int
        Images made at once; no influence on them.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Particles
        Those of raw, as they were read from its STAR file.
    """
    raw_stack, truth_stack = files.project / files.stack, files.truth.with_suffix(".mrcs")
    for path in (files.volume, files.raw, raw_stack, files.truth, files.recipe):
        path.parent.mkdir(parents=True, exist_ok=True)
    volume = _specimen(recipe)
    mrcfile.write(files.volume, volume.numpy(), voxel_size=recipe.sampling)  # type: ignore[attr-defined,no-untyped-call]
    # Its label has the time, and noise depends on the bytes of the map.
    with mrcfile.open(files.volume, "r+") as file:  # type: ignore[attr-defined,no-untyped-call]
        file.header.label[0] = b"Written by cryoalign"
    drawn = draw_particles(files.raw, recipe)
    write_particles(files.raw, replace(drawn, stack=np.full(len(drawn), files.stack)), box=recipe.box)
    particles = read_particles(files.raw)
    _expose(raw_stack, truth_stack, recipe, particles, volume, batch_size=batch_size, progress=progress)
    names = np.array([f"{i + 1:06d}@{truth_stack.name}" for i in range(len(particles))])
    write_particles(
        files.truth, particles, image_names=names, original_names=particles.image_name, box=recipe.box
    )
    text = json.dumps({**asdict(recipe), "format": FORMAT}, indent=2)
    files.recipe.write_text(text + "\n", encoding="utf-8")
    return particles


def _specimen(recipe: Recipe) -> Tensor:
    """Return the potential of the fold in V, less that of the displaced ice; its atoms stand for carbon."""
    positions = fold(recipe.diameter, domains=recipe.domains, seed=recipe.seed)
    count = len(positions)
    atoms = Atoms(positions, np.full(count, "C"), np.full(count, recipe.bfactor), np.ones(count))
    grid: dict[str, Any] = {"box": recipe.box, "pixel_size": recipe.sampling, "centre": (0.0, 0.0, 0.0)}
    return potential(atoms, **grid) - recipe.solvent_potential * occupied(atoms, **grid)


def _expose(
    raw_stack: Path,
    truth_stack: Path,
    recipe: Recipe,
    particles: Particles,
    volume: Tensor,
    *,
    batch_size: int,
    progress: bool,
) -> None:
    """Write the images by multislice in ice, some with a neighbour; and the same ones without noise."""
    box, pixel_size, count = recipe.box, recipe.sampling, len(particles)
    grid: dict[str, Any] = {"pixel_size": pixel_size, "box": box, "envelope": recipe.envelope}
    scattering = Multislice(volume, slice_thickness=recipe.slice_thickness, **grid)
    parts: dict[str, Any] = {"scattering": scattering, "detector": recipe.detector, "seed": recipe.seed}
    parts["identity"] = lambda some: some.row
    noisy, clean = Experiment(solvent=recipe.ice, **parts), Experiment(**parts)
    neighbour = WeakPhase(volume, **grid)
    with (
        StackWriter(raw_stack, count, box, pixel_size) as raw,
        StackWriter(truth_stack, count, box, pixel_size) as truth,
    ):
        starts = range(0, count, batch_size)
        for start in progress_bar(starts, "recording", shown=progress):
            rows = np.arange(start, min(start + batch_size, count))
            others = _neighbours(recipe, particles, rows, neighbour)
            raw.write(noisy.record(particles, rows, others)[0].numpy())
            truth.write(clean.record(particles, rows, others)[1].numpy())


def _neighbours(
    recipe: Recipe, particles: Particles, rows: NDArray[np.int64], simulator: WeakPhase
) -> Tensor:
    """Simulate what is next to the particles at `rows`: nothing for most."""
    images = torch.zeros(len(rows), recipe.box, recipe.box)
    for index, row in enumerate(rows):
        rng = generator(recipe, NEIGHBOUR, row)
        if rng.random() >= recipe.neighbours:
            continue
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*recipe.neighbour_distance)
        x, y = np.rint(distance * recipe.box * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        other = replace(particles.take([row]), angles=draw_view(rng)[None], shift=np.zeros((1, 2)))
        images[index] = _moved(simulator(other)[0], int(x), int(y))
    return images


def _moved(image: Tensor, x: int, y: int) -> Tensor:
    """Move an image by whole pixels; what leaves the box is lost, what enters is zero."""
    box = len(image)
    moved = torch.zeros_like(image)
    if max(abs(x), abs(y)) < box:
        to_x, to_y = slice(max(x, 0), box + min(x, 0)), slice(max(y, 0), box + min(y, 0))
        from_x, from_y = slice(max(-x, 0), box + min(-x, 0)), slice(max(-y, 0), box + min(-y, 0))
        moved[to_y, to_x] = image[from_y, from_x]
    return moved
