"""Tables of measured particles and of their simulated ones, without files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cryoalign.particles import Optics, Particles

COUNT = 6


def measured() -> Particles:
    """Six particles of two optics groups and two stacks."""
    rng = np.random.default_rng(8)
    return Particles.make(
        Path("raw.star"),
        (Optics(1, "a", 1.5, 300.0, 2.7, 0.1, 64), Optics(2, "b", 1.5, 200.0, 2.7, 0.1, 64)),
        COUNT,
        optics_index=np.arange(COUNT) % 2,
        stack=np.array(["Extract/a.mrcs", "Extract/b.mrcs"] * (COUNT // 2)),
        micrograph=np.full(COUNT, "m"),
        angles=rng.uniform([-180, 10, -180], [180, 170, 180], (COUNT, 3)),
        shift=rng.normal(size=(COUNT, 2)),
        defocus=np.tile([12000.0, 11000.0, 30.0], (COUNT, 1)),
        table=pd.DataFrame({"rlnClassNumber": np.arange(COUNT)}),
    )


def simulated(raw: Particles, names: list[str] | None = None) -> Particles:
    """What a simulator makes of them: its own stack, and the raw names in a column."""
    table = raw.table.assign(rlnImageOriginalName=raw.image_name if names is None else names)
    own = {
        "stack": np.full(len(raw), "sim.mrcs"),
        "slot": np.arange(len(raw)),
        "row": np.arange(len(raw)) + 1,
    }
    return replace(raw, source=Path("sim.star"), table=table, **own)


def foreign(raw: Particles) -> Particles:
    """The same from a program that names no raw images."""
    sim = simulated(raw)
    return replace(sim, table=sim.table.drop(columns="rlnImageOriginalName"))
