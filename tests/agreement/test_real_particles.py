"""Simulated ribosomes correlate with the measured ones: what nothing but real particles can show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoalign.data.images import ParticleImages
from cryoalign.io.relion import locate_stacks, read_particles
from cryoalign.particles import Particles
from cryoalign.simulate.specimen import DensityMap
from cryoalign.simulate.stream import simulate_particles

BOX, RADIUS = 32, 15


def inside(particles: Particles) -> np.ndarray:
    """(N, pixels) inside the radius, each image with mean 0 and standard deviation 1 there."""
    images = ParticleImages(particles, locate_stacks(particles))
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    circle = np.hypot(x, y) < RADIUS
    values = np.stack([images.image(row)[circle] for row in range(len(particles))]).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    return values / values.std(axis=1, keepdims=True)


@pytest.mark.realdata
def test_ribosomes_at_their_poses(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ribosome_10499"
    raw = read_particles(folder / "particles.star")
    shuffled = replace(raw, angles=raw.angles[np.random.default_rng(0).permutation(len(raw))])
    measured = inside(raw)
    correlation = {}
    for name, particles in (("right", raw), ("shuffled", shuffled)):
        star = simulate_particles(
            particles, DensityMap(folder / "reference.mrc"), tmp_path / name, progress=False
        )
        correlation[name] = float(np.mean(inside(read_particles(star)) * measured))
    assert correlation["right"] >= 0.056
    assert abs(correlation["shuffled"]) < 0.01
