"""The embedded data set: a specimen, its weak-phase images, and those of a microscope by multislice.

Everything is written and read through the files and readers of real data.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import torch

from cryoalign.embedded.fold import fold
from cryoalign.embedded.recipe import FORMAT, NEIGHBOUR, Recipe, draw_particles, draw_view, generator
from cryoalign.io.mrc import StackWriter
from cryoalign.io.output import place_error
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.displacement import occupied
from cryoalign.physics.potential import Atoms, potential
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_stack
from cryoalign.simulate.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles


@dataclass(frozen=True)
class DemoSet:
    """The files of an embedded data set.

    Attributes
    ----------
    folder : Path
        Where they lie.
    """

    folder: Path

    @property
    def volume(self) -> Path:
        """The map that the simulator is given."""
        return self.folder / "volume.mrc"

    @property
    def raw(self) -> Path:
        """Metadata of what the microscope recorded."""
        return self.folder / "raw.star"

    @property
    def truth(self) -> Path:
        """Metadata of the same images without noise."""
        return self.folder / "truth.star"

    @property
    def sim(self) -> Path:
        """Metadata of what ``python -m cryoalign.simulate`` makes of the map."""
        return self.folder / "sim" / "sim.star"


def make_demo(
    folder: Path | str, *, batch_size: int = 32, progress: bool = False, **parameters: Any
) -> DemoSet:
    """Make the embedded data set, or find it where it was made before.

    It lies in a folder of its own within `folder`, named by a hash of all parameters. It is built under
    another name and renamed, so that a half-built set is never used; a second process that wants the same set
    waits for the first.

    Parameters
    ----------
    folder : Path or str
        The cache; made if missing.
    batch_size : int
        Images made at once; no influence on them.
    progress : bool
        Show progress bars of the simulation.
    **parameters
        Those of `Recipe`; ``ice``, ``envelope`` and ``detector`` may be mappings of their own.

    Returns
    -------
    DemoSet

    Raises
    ------
    InputError
        If a parameter is unknown or out of range, or the folder cannot be written.
    """
    recipe = Recipe.of(parameters)
    made = DemoSet(Path(folder) / f"embedded_{recipe.box}px_{recipe.key}")
    if made.folder.is_dir():
        return made
    try:
        made.folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(made.folder) as building:
            if building is not None:
                _build(DemoSet(building), recipe, batch_size, progress)
    except OSError as error:
        raise place_error(made.folder, error) from error
    return made


@contextmanager
def _alone(folder: Path) -> Iterator[Path | None]:
    """Lock the making of `folder`; yield a place to build it, or None if another process was faster.

    The lock goes with the process that held it, so a crash leaves nothing but an unfinished folder, which the
    next holder removes.
    """
    prefix = f".{folder.name}."
    with (folder.parent / f"{prefix}lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            yield None
            return
        for left in folder.parent.glob(f"{prefix}building.*"):
            shutil.rmtree(left, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=f"{prefix}building.", dir=folder.parent))
        try:
            building.chmod(0o755)
            yield building
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _build(made: DemoSet, recipe: Recipe, batch_size: int, progress: bool) -> None:
    volume = _specimen(recipe)
    mrcfile.write(made.volume, volume.numpy(), voxel_size=recipe.sampling)  # type: ignore[attr-defined,no-untyped-call]
    write_particles(made.raw, draw_particles(made.raw, recipe), box=recipe.box)
    particles = read_particles(made.raw)
    specimen, out = DensityMap(made.volume, volts=1.0), made.sim.parent
    simulate_stack(particles, specimen, out, batch_size=batch_size, progress=progress)
    _expose(made, recipe, particles, volume, batch_size=batch_size, progress=progress)
    names = np.array([f"{i + 1:06d}@truth.mrcs" for i in range(len(particles))])
    write_particles(
        made.truth, particles, image_names=names, original_names=particles.image_name, box=recipe.box
    )
    text = json.dumps({**asdict(recipe), "format": FORMAT}, indent=2)
    (made.folder / "recipe.json").write_text(text + "\n", encoding="utf-8")


def _specimen(recipe: Recipe) -> Tensor:
    """Return the potential of the fold in V, less that of the displaced ice; its atoms stand for carbon."""
    positions = fold(recipe.diameter, domains=recipe.domains, seed=recipe.seed)
    count = len(positions)
    atoms = Atoms(positions, np.full(count, "C"), np.full(count, recipe.bfactor), np.ones(count))
    grid: dict[str, Any] = {"box": recipe.box, "pixel_size": recipe.sampling, "centre": (0.0, 0.0, 0.0)}
    return potential(atoms, **grid) - recipe.solvent_potential * occupied(atoms, **grid)


def _expose(
    made: DemoSet, recipe: Recipe, particles: Particles, volume: Tensor, *, batch_size: int, progress: bool
) -> None:
    """Write raw.mrcs, by multislice in ice, some with a neighbour; and truth.mrcs, without noise."""
    box, pixel_size, count = recipe.box, recipe.sampling, len(particles)
    grid: dict[str, Any] = {"pixel_size": pixel_size, "box": box, "envelope": recipe.envelope}
    scattering = Multislice(volume, slice_thickness=recipe.slice_thickness, **grid)
    parts: dict[str, Any] = {"scattering": scattering, "detector": recipe.detector, "seed": recipe.seed}
    noisy, clean = Experiment(solvent=recipe.ice, **parts), Experiment(**parts)
    neighbour = WeakPhase(volume, **grid)
    raw_path, truth_path = made.raw.with_suffix(".mrcs"), made.truth.with_suffix(".mrcs")
    with (
        StackWriter(raw_path, count, box, pixel_size) as raw,
        StackWriter(truth_path, count, box, pixel_size) as truth,
    ):
        starts = range(0, count, batch_size)
        for start in progress_bar(starts, "recording", shown=progress):
            rows = np.arange(start, min(start + batch_size, count))
            beside = _neighbours(recipe, particles, rows, neighbour)
            raw.write(noisy.record(particles, rows, beside)[0].numpy())
            truth.write(clean.record(particles, rows, beside)[1].numpy())


def _neighbours(
    recipe: Recipe, particles: Particles, rows: NDArray[np.int64], simulator: WeakPhase
) -> Tensor:
    """Simulate what stands beside the particles at `rows`: nothing for most."""
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
