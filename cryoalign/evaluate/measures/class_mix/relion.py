"""2D classification by RELION."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import read_particles, write_particles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.particles import Particles

PROGRAM = "relion_refine"

_MASK = 0.9  # diameter of the mask as a fraction of the box
_SETTINGS = (
    "--ctf --tau2_fudge 2 --flatten_solvent --zero_mask --norm --scale --dont_check_norm"
    " --oversampling 1 --psi_step 12 --offset_range 5 --offset_step 2 --pool 30"
)


def installed() -> bool:
    """Return whether RELION is on the path."""
    return shutil.which(PROGRAM) is not None


def classify(
    images: Tensor,
    particles: Particles,
    pixel_size: float,
    *,
    classes: int,
    iterations: int,
    seed: int,
    threads: int,
) -> NDArray[np.int64]:
    """Sort images into 2D classes, as a user of RELION does by Class2D.

    Parameters
    ----------
    images : (n, N, N) float32 tensor
    particles : Particles
        Their n CTFs and micrographs.
    pixel_size : float
        Of these images, in A.
    classes, iterations : int
    seed : int
        Of the first references.
    threads : int

    Returns
    -------
    (n,) int64
        Number of each image's class, from 1.

    Raises
    ------
    InputError
        If RELION fails.
    """
    box = images.shape[-1]
    with tempfile.TemporaryDirectory(prefix="class2d.") as name:
        folder = Path(name)
        with StackWriter(folder / "images.mrcs", len(images), box, pixel_size) as writer:
            writer.write(images.numpy())
        names = [f"{number:06d}@images.mrcs" for number in range(1, len(images) + 1)]
        write_particles(
            folder / "images.star", particles, image_names=names, box=box, pixel_size=pixel_size
        )  # fmt: skip
        command = [
            PROGRAM, "--i", "images.star", "--o", "./run", "--K", str(classes), "--iter", str(iterations),
            "--particle_diameter", f"{_MASK * box * pixel_size:.1f}", "--j", str(max(threads, 1)),
            "--random_seed", str(seed + 1), *_SETTINGS.split(),
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603  a program by its name, and numbers
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        result = folder / f"run_it{iterations:03d}_data.star"
        if done.returncode or not result.exists():
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise InputError(
                "RELION's 2D classification failed",
                expected=f"{PROGRAM} to write {result.name}",
                found=last[0] if last else f"exit status {done.returncode}",
                remedy="classify by k-means instead: measure.class_mix.program=kmeans",
            )
        sorted_by_micrograph = read_particles(result)
    found = np.zeros(len(images), dtype=np.int64)
    found[sorted_by_micrograph.slot] = sorted_by_micrograph.table["rlnClassNumber"].to_numpy(dtype=np.int64)
    return found
