"""Pairs of random images as files: what reading and training cost does not depend on what they show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pandas as pd

from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from pathlib import Path

PIXEL_SIZE = 1.2
_MICROGRAPHS = 20


def write_pairs(folder: Path, box: int, count: int, seed: int = 0) -> tuple[Path, Path]:
    """Write ``sim.star``, ``raw.star`` and their stacks; return the two STAR files."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(8e3, 2.5e4, count)
    raw = Particles.make(
        folder / "raw.star",
        (Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, box),),
        count,
        micrograph=np.array([f"mic{number % _MICROGRAPHS:02d}.mrc" for number in range(count)]),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-5, 5, (count, 2)),
        defocus=np.stack([mean + 300, mean - 300, rng.uniform(0, 180, count)], axis=1),
        table=pd.DataFrame(index=range(count)),
    )
    sim = replace(raw, source=folder / "sim.star", stack=np.full(count, "sim.mrcs"))
    for particles, name in ((sim, "sim"), (raw, "raw")):
        write_particles(folder / f"{name}.star", particles, original_names=raw.image_name)
        with mrcfile.new_mmap(folder / f"{name}.mrcs", (count, box, box), mrc_mode=2) as stack:
            stack.set_image_stack()
            stack.voxel_size = PIXEL_SIZE
            for number in range(count):
                stack.data[number] = rng.standard_normal((box, box), dtype=np.float32)
    return folder / "sim.star", folder / "raw.star"
