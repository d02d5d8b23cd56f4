"""A small set of pairs whose truth is known: views of a few blobs, with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cryoalign.audit.sample import Sample
from cryoalign.particles import Optics, Particles
from cryoalign.simulate.weak_phase import WeakPhase

COUNT, BOX, PIXEL_SIZE = 150, 32, 4.0


def particles(count: int = COUNT, seed: int = 0) -> Particles:
    rng = np.random.default_rng(seed)
    mean = rng.uniform(12000, 24000, count)
    return Particles(
        source=Path("known.star"),
        optics=(Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, BOX),),
        row=np.arange(1, count + 1),
        optics_index=np.zeros(count, dtype=np.int64),
        stack=np.full(count, "known.mrcs"),
        slot=np.arange(count),
        micrograph=np.array([f"m{i * 30 // count:02d}" for i in range(count)]),
        angles=np.stack(
            [
                rng.uniform(-180, 180, count),
                np.rad2deg(np.arccos(rng.uniform(-1, 1, count))),
                rng.uniform(-180, 180, count),
            ],
            axis=1,
        ),
        shift=rng.normal(0, 8, (count, 2)),
        defocus=np.stack([mean + 300, mean - 300, rng.uniform(-90, 90, count)], axis=1),
        phase_shift=np.zeros(count),
        ctf_bfactor=np.zeros(count),
        ctf_scale=np.ones(count),
        half=np.zeros(count, dtype=np.int64),
        sign=np.ones(count),
        table=pd.DataFrame(index=range(count)),
    )


def specimen() -> torch.Tensor:
    """Fourteen blobs without symmetry."""
    rng = np.random.default_rng(3)
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    density = np.zeros((BOX, BOX, BOX))
    for centre in rng.uniform(-7, 7, (14, 3)):
        density += np.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / 2.5)
    return torch.from_numpy(density.astype(np.float32))


def images(table: Particles, pixel_size: float = PIXEL_SIZE) -> torch.Tensor:
    """Simulate, with the map's voxels taken as `pixel_size` A."""
    return WeakPhase(specimen(), pixel_size=pixel_size, box=BOX, image_pixel_size=PIXEL_SIZE)(table)


def pairs(
    sims: torch.Tensor, truth: torch.Tensor, table: Particles, *, noise: float = 3.0, seed: int = 1
) -> Sample:
    """Pair simulated images with the true ones in noise."""
    rng = torch.Generator().manual_seed(seed)
    level = noise * float(truth.std())
    return Sample(
        sim=table,
        raw=table,
        sims=sims,
        raws=truth + level * torch.randn(truth.shape, generator=rng),
        shifted={"next": sims.roll(-1, 0), "previous": sims.roll(1, 0), "reversed": sims.flip(0)},
        groups=np.unique(table.micrograph, return_inverse=True)[1],
        pixel_size=PIXEL_SIZE,
    )
