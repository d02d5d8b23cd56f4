"""Micrographs on which particles lie near each other, and one of these alone in a wide field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import starfile
import torch

from cryoalign.particles import Particles
from cryoalign.simulate.weak_phase import WeakPhase
from tests.simulate.commanded import BOX, PIXEL_SIZE

COLUMNS = (
    "ImageName", "MicrographName", "CoordinateX", "CoordinateY", "AngleRot", "AngleTilt", "AnglePsi",
    "OriginXAngst", "OriginYAngst", "DefocusU", "DefocusV", "DefocusAngle", "OpticsGroup",
)  # fmt: skip
OPTICS = ("OpticsGroup", "Voltage", "SphericalAberration", "AmplitudeContrast", "ImagePixelSize", "ImageSize")


def write_field(
    path: Path,
    *,
    lens: tuple[float, float] = (2.7, 0.1),
    focus: tuple[float, float] = (7000, 9000),
    premultiplied: int = 0,
) -> None:
    """Write 24 particles on two micrographs of 90 px, in poses and a defocus of their own.

    A lens is spherical aberration and amplitude contrast.
    """
    rng = np.random.default_rng(0)
    cells = [
        [
            f"{row:06d}@gone/a.mrcs", f"{'ab'[row % 2]}.mrc", *rng.uniform(0, 90, 5), *rng.uniform(-3, 3, 2),
            *rng.uniform(*focus, 2), 30, 7,
        ]
        for row in range(1, 25)
    ]  # fmt: skip
    optics = [[7, 300, *lens, PIXEL_SIZE, BOX, 1.4, premultiplied]]
    names = (*OPTICS, "MicrographPixelSize", "CtfDataAreCtfPremultiplied")
    tables = {"optics": (names, optics), "particles": (COLUMNS, cells)}
    whole = {
        name: pd.DataFrame(rows, columns=[f"rln{one}" for one in of]) for name, (of, rows) in tables.items()
    }
    starfile.write(whole, path)


def wide(particles: Particles, density: np.ndarray, row: int, move: np.ndarray) -> np.ndarray:
    """A particle alone in a field of two boxes; of that the box whose centre is `move` px from its own."""
    pixel_size = particles.optics[0].pixel_size
    simulator = WeakPhase(
        torch.from_numpy(density), pixel_size=PIXEL_SIZE, box=2 * BOX, padding=1, image_pixel_size=pixel_size
    )
    away = move + particles.shift[row] / pixel_size
    x, y = np.rint(away).astype(int)
    rest = (away - [x, y]) * pixel_size
    image = simulator(replace(particles, shift=np.tile(rest, (len(particles), 1))), [row])[0].numpy()
    start = 2 * BOX + BOX - BOX // 2
    return np.pad(image, 2 * BOX)[start + y : start + y + BOX, start + x : start + x + BOX]
