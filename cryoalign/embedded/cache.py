"""The embedded data set of a training: made once, kept in a cache."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoalign.embedded.make import Files, make_embedded
from cryoalign.embedded.recipes import recipe_of
from cryoalign.io.output import place_error
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoalign.embedded.recipe import Recipe


@dataclass(frozen=True)
class CachedSet:
    """An embedded data set in a cache, simulated images included.

    Attributes
    ----------
    folder : Path
        Where its files lie.
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
        """Metadata of what ``cryoalign simulate`` makes of the map."""
        return self.folder / "sim" / "sim.star"

    @property
    def sim_with_neighbours(self) -> Path:
        """The same with the neighbours of each particle, where the recipe knows them."""
        return self.folder / "sim_neighbours" / "sim.star"


def find_or_make(
    cache: Path | str, *, batch_size: int = 32, progress: bool = False, **parameters: Any
) -> CachedSet:
    """Find the embedded data set in a cache, or make it.

    It lies in a folder named by a hash of all parameters. It is built under another name and renamed, so that
    a half-built set is never used; a second process that wants the same set waits for the first.

    Parameters
    ----------
    cache : Path or str
        A folder; made if missing.
    batch_size : int
        Images made at once; no influence on them.
    progress : bool
        Show progress bars of the simulation.
    **parameters
        Those of `cryoalign.embedded.recipes.recipe_of`.

    Raises
    ------
    InputError
        If a parameter is unknown or out of range, or the folder cannot be written.
    """
    recipe = recipe_of(parameters)
    made = CachedSet(Path(cache) / f"embedded_{recipe.box}px_{recipe.key}")
    if made.folder.is_dir():
        return made
    try:
        made.folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(made.folder) as building:
            if building is not None:
                _build(CachedSet(building), recipe, batch_size, progress)
    except OSError as error:
        raise place_error(made.folder, error) from error
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[Path | None]:
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


def _build(made: CachedSet, recipe: Recipe, batch_size: int, progress: bool) -> None:
    files = Files(
        volume=made.volume, raw=made.raw, project=made.folder, stack="raw.mrcs", truth=made.truth,
        recipe=made.folder / "recipe.json",
    )  # fmt: skip
    particles = make_embedded(files, recipe, batch_size=batch_size, progress=progress)
    specimen = DensityMap(made.volume, volts=1.0)
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    simulate_particles(particles, specimen, made.sim.parent, **options)
    if recipe.places_known:
        options |= {"neighbours": True, "micrograph_pixel_size": recipe.sampling}
        simulate_particles(particles, specimen, made.sim_with_neighbours.parent, **options)
