"""Measured particles with preferred views, whose conditions are all of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryoalign.particles import Optics, Particles

GROUPS = (
    Optics(1, "krios", 1.5, 300.0, 2.7, 0.1, box_size=16, beam_tilt=(0.2, 0.0)),
    Optics(2, "nobody's", 1.5, 200.0, 2.7, 0.1, box_size=16),
    Optics(3, "arctica", 1.5, 200.0, 2.7, 0.07, box_size=16),
)


def measured(count: int = 200, seed: int = 0) -> Particles:
    """Draw particles seen from the top and from one side; dose, tilt and micrograph tell the row, too."""
    rng = np.random.default_rng(seed)
    tilt = np.where(rng.random(count) < 0.7, rng.normal(15, 5, count), rng.normal(90, 4, count))
    rows = np.arange(count)
    numbers = {"rlnMicrographPreExposure": 0.1 * rows, "rlnTomoNominalStageTiltAngle": rows - 60.0}
    mean = rng.uniform(8e3, 2.5e4, count)
    return Particles.make(
        Path("run_data.star"),
        GROUPS,
        count,
        optics_index=2 * (rows % 2),
        micrograph=np.array([f"Micrographs/mic_{row // 10:03d}.mrc" for row in rows]),
        angles=np.column_stack([rng.normal(0, 40, count), tilt, rng.uniform(-180, 180, count)]),
        shift=rng.normal(0, 4, (count, 2)) * [1, 2],
        defocus=np.column_stack([mean + 100, mean - 100, rng.uniform(0, 180, count)]),
        phase_shift=rows % 7.0,
        half=1 + rows % 2,
        table=pd.DataFrame({**numbers, "rlnCoordinateX": 1.0 * rows, "rlnNormCorrection": 1.0}),
    )
