"""The embedded data set: a specimen, the simulator's images, and those of a microscope it does not know.

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

from cryoalign.data.recipe import (
    EXPOSURE,
    FORMAT,
    NEIGHBOUR,
    Recipe,
    draw_particles,
    draw_view,
    generator,
)
from cryoalign.io.mrc import MrcStack, StackWriter
from cryoalign.io.output import place_error
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.ctf import ctf
from cryoalign.simulation.microscope import place
from cryoalign.simulation.fold import density, fold
from cryoalign.simulation.stack import simulate_stack
from cryoalign.simulation.weak_phase import WeakPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        Show a progress bar of the simulation.
    **parameters
        Those of `Recipe`; ``microscope`` may be a mapping of the parameters of `Microscope`.

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
    atoms = fold(recipe.diameter, domains=recipe.domains, seed=recipe.seed)
    volume = density(atoms, recipe.box, recipe.sampling)
    mrcfile.write(made.volume, volume, voxel_size=recipe.sampling)  # type: ignore[attr-defined,no-untyped-call]
    write_particles(made.raw, draw_particles(made.raw, recipe), box=recipe.box)
    particles = read_particles(made.raw)
    simulate_stack(particles, made.volume, made.sim.parent, batch_size=batch_size, progress=progress)
    _expose(made, recipe, particles, torch.from_numpy(volume), batch_size)
    names = np.array([f"{i + 1:06d}@truth.mrcs" for i in range(len(particles))])
    write_particles(
        made.truth, particles, image_names=names, original_names=particles.image_name, box=recipe.box
    )
    text = json.dumps({**asdict(recipe), "format": FORMAT}, indent=2)
    (made.folder / "recipe.json").write_text(text + "\n", encoding="utf-8")


def _expose(made: DemoSet, recipe: Recipe, particles: Particles, volume: Tensor, batch_size: int) -> None:
    """Write raw.mrcs and truth.mrcs: the simulated images, some with a neighbour, through the microscope."""
    box, pixel_size, count = recipe.box, recipe.sampling, len(particles)
    scale = recipe.microscope.contrast(volume, recipe.diameter / 2 / pixel_size)
    simulator = WeakPhase(volume, pixel_size=pixel_size, box=box)
    clean = MrcStack(made.sim.with_suffix(".mrcs"))
    raw_path, truth_path = made.raw.with_suffix(".mrcs"), made.truth.with_suffix(".mrcs")
    with (
        StackWriter(raw_path, count, box, pixel_size) as raw,
        StackWriter(truth_path, count, box, pixel_size) as truth,
    ):
        for start in range(0, count, batch_size):
            rows = range(start, min(start + batch_size, count))
            images = torch.from_numpy(np.stack([clean.read(row) for row in rows]))
            images += _neighbours(recipe, particles, rows, simulator)
            generators = [generator(recipe, EXPOSURE, row) for row in rows]
            exposed = recipe.microscope.expose(
                scale * images, _ctf(particles.take(rows), box), pixel_size, generators
            )
            for writer, pictures in zip((raw, truth), exposed, strict=True):
                writer.write(pictures.numpy())


def _neighbours(recipe: Recipe, particles: Particles, rows: range, simulator: WeakPhase) -> Tensor:
    """Simulate what stands beside the particles at `rows`: nothing for most."""
    images = torch.zeros(len(rows), recipe.box, recipe.box)
    for index, row in enumerate(rows):
        rng = generator(recipe, NEIGHBOUR, row)
        if rng.random() >= recipe.microscope.neighbours:
            continue
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*recipe.microscope.neighbour_distance)
        x, y = np.rint(distance * recipe.box * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        other = replace(particles.take([row]), angles=draw_view(rng)[None], shift=np.zeros((1, 2)))
        images[index] = place(simulator(other)[0], (int(x), int(y)))
    return images


def _ctf(particles: Particles, box: int) -> Tensor:
    columns = {
        name: particles.optics_column(name)
        for name in ("voltage", "spherical_aberration", "amplitude_contrast")
    }
    columns |= {"defocus": particles.defocus, "phase_shift": particles.phase_shift}
    columns |= {"bfactor": particles.ctf_bfactor, "scale": particles.ctf_scale}
    pixel_size = torch.from_numpy(particles.optics_column("pixel_size")).float()
    return ctf(
        box, pixel_size, **{name: torch.from_numpy(column).float() for name, column in columns.items()}
    )
