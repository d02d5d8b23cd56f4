"""RELION's own programs as fixtures: particles and maps of the tests' own making go in, images come out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import mrcfile
import numpy as np
import pytest

from cryoalign.io.relion import read_particles, write_particles
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Project(Protocol):
    """Project with RELION.

    Gives the particles as they are read back from the file that RELION got, so that both programs work on the
    same numbers, and RELION's images.
    """

    def __call__(
        self, particles: Particles, volume: NDArray[np.float32], pixel_size: float, option: str = "--ctf"
    ) -> tuple[Particles, NDArray[np.float32]]: ...


class Rescale(Protocol):
    """Resample a map with RELION to a pixel size that gives a whole, even number of voxels."""

    def __call__(
        self, volume: NDArray[np.float32], pixel_size: float, new_pixel_size: float
    ) -> NDArray[np.float32]: ...


def run_relion(*command: str | Path, cwd: Path) -> None:
    """Run a program of RELION's in a folder from which the names in its STAR file resolve."""
    if shutil.which(str(command[0])) is None:
        pytest.skip("RELION is not installed")
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[0]} exits with {done.returncode}:\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def relion_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    def project(
        particles: Particles, volume: NDArray[np.float32], pixel_size: float, option: str = "--ctf"
    ) -> tuple[Particles, NDArray[np.float32]]:
        folder, box = tmp_path_factory.mktemp("project"), len(volume)
        mrcfile.write(folder / "map.mrc", volume, voxel_size=pixel_size)
        with mrcfile.new(folder / "raw.mrcs", np.zeros((len(particles), box, box), np.float32)) as raw:
            raw.set_image_stack()
        names = [f"{i + 1:06d}@raw.mrcs" for i in range(len(particles))]
        write_particles(folder / "in.star", particles, image_names=names, box=box)
        command = ("relion_project", "--i", "map.mrc", "--ang", "in.star", "--o", "relion", option)
        run_relion(*command, "--angpix", f"{pixel_size:.6f}", cwd=folder)
        return read_particles(folder / "in.star"), mrcfile.read(folder / "relion.mrcs")

    return project


@pytest.fixture(scope="session")
def relion_rescale(tmp_path_factory: pytest.TempPathFactory) -> Rescale:
    def rescale(volume: NDArray[np.float32], pixel_size: float, new_pixel_size: float) -> NDArray[np.float32]:
        folder = tmp_path_factory.mktemp("rescale")
        mrcfile.write(folder / "fine.mrc", volume, voxel_size=pixel_size)
        command = ("relion_image_handler", "--i", "fine.mrc", "--o", "coarse.mrc")
        sizes = ("--angpix", f"{pixel_size:.6f}", "--rescale_angpix", f"{new_pixel_size:.6f}")
        run_relion(*command, *sizes, cwd=folder)
        return mrcfile.read(folder / "coarse.mrc")

    return rescale


def phantom(size: int, seed: int = 0) -> NDArray[np.float32]:
    """Place 200 sharp Gaussian blobs of different weight in a ball: fine detail and no symmetry."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    centre = size // 2 + direction * (0.35 * size * rng.uniform(size=(200, 1)) ** (1 / 3))
    axis = np.arange(size)
    z, y, x = (np.exp(-((axis - column[:, None]) ** 2) / (2 * 1.2**2)) for column in centre.T)
    return np.einsum("b,bi,bj,bk->ijk", rng.uniform(0.5, 2, 200), z, y, x, optimize=True).astype(np.float32)


def random_particles(count: int, *optics: Optics, seed: int = 0) -> Particles:
    """Draw poses, shifts of up to 8 px, defocus of 0.8 to 2.5 um, astigmatism of 0.1 to 0.3 um either way."""
    rng = np.random.default_rng(seed)
    mean, half = rng.uniform(8e3, 2.5e4, count), rng.choice([-1, 1], count) * rng.uniform(500, 1500, count)
    angles = np.stack(
        [rng.uniform(-180, 180, count), np.degrees(np.arccos(rng.uniform(-1, 1, count)))], axis=1
    )
    group = np.arange(count) % len(optics)
    pixel_size = np.array([each.pixel_size for each in optics])[group]
    return Particles.make(
        Path("random.star"),
        optics,
        count,
        optics_index=group,
        micrograph=np.full(count, "mic.mrc"),
        angles=np.column_stack([angles, rng.uniform(-180, 180, count)]),
        shift=rng.uniform(-8, 8, (count, 2)) * pixel_size[:, None],
        defocus=np.stack([mean + half, mean - half, rng.uniform(0, 180, count)], axis=1),
    )


@pytest.fixture(scope="session")
def make_phantom() -> object:
    return phantom


@pytest.fixture(scope="session")
def make_particles() -> object:
    return random_particles
