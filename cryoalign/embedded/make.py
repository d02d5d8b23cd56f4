"""The files of an embedded data set: a map, what a microscope makes of it by multislice, and the truth.

Everything is written and read through the files and readers of real data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np

from cryoalign.embedded.fold import fold
from cryoalign.embedded.recipe import FORMAT, Recipe
from cryoalign.io.mrc import StackWriter
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.displacement import occupied
from cryoalign.physics.potential import Atoms, potential

if TYPE_CHECKING:
    from pathlib import Path

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
    # Its label has the time; a recipe makes the same bytes whenever it is followed.
    with mrcfile.open(files.volume, "r+") as file:  # type: ignore[attr-defined,no-untyped-call]
        file.header.label[0] = b"Written by cryoalign"
    drawn = recipe.draw(files.raw)
    write_particles(files.raw, replace(drawn, stack=np.full(len(drawn), files.stack)), box=recipe.box)
    particles = read_particles(files.raw)
    _expose(raw_stack, truth_stack, recipe, particles, volume, batch_size=batch_size, progress=progress)
    names = np.array([f"{i + 1:06d}@{truth_stack.name}" for i in range(len(particles))])
    write_particles(
        files.truth, particles, image_names=names, original_names=particles.image_name, box=recipe.box
    )
    said = asdict(recipe)
    said["seed"] = said.pop("seed")  # last, whatever a recipe adds
    text = json.dumps({**said, "format": FORMAT}, indent=2)
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
    """Write the images, and the same ones without noise."""
    box, pixel_size, count = recipe.box, recipe.sampling, len(particles)
    with (
        StackWriter(raw_stack, count, box, pixel_size) as raw,
        StackWriter(truth_stack, count, box, pixel_size) as truth,
    ):
        images = recipe.record(particles, volume, batch_size)
        for noisy, clean in progress_bar(images, "recording", shown=progress, total=count):
            raw.write(noisy[None].numpy())
            truth.write(clean[None].numpy())
