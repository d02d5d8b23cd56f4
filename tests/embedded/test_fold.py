"""The protein-like specimen: reproducible, of the size asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryoalign.embedded.fold import fold
from cryoalign.physics.potential import Atoms, potential

DIAMETER = 100.0


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    return fold(DIAMETER, domains=4, seed=3)


def test_a_seed_is_a_fold(atoms):
    np.testing.assert_array_equal(atoms, fold(DIAMETER, domains=4, seed=3))
    other = fold(DIAMETER, domains=4, seed=4)
    assert other.shape != atoms.shape or not np.allclose(other, atoms)


def test_it_fills_the_sphere_about_its_centre_of_mass(atoms):
    np.testing.assert_allclose(atoms.mean(axis=0), 0, atol=1e-9)
    radii = np.linalg.norm(atoms, axis=1)
    assert radii.max() == pytest.approx(DIAMETER / 2)
    assert 0.25 * DIAMETER < np.sqrt((radii**2).mean()) < 0.4 * DIAMETER  # a filled sphere has 0.387


def test_the_chain_avoids_itself(atoms):
    """In a globular protein some 10 to 25 atoms lie within 4 A of another; a random heap has no bound."""
    neighbours = cKDTree(atoms).query_ball_point(atoms, 4.0, return_length=True) - 1
    assert 4 < np.median(neighbours) < 25
    assert np.percentile(neighbours, 99.9) < 50


def test_it_has_no_symmetry(atoms):
    carbon = Atoms(atoms, np.full(len(atoms), "C"), np.full(len(atoms), 300.0), np.ones(len(atoms)))
    volume = potential(carbon, 32, 5.0, centre=(0.0, 0.0, 0.0)).numpy()
    core = volume[1:, 1:, 1:]  # centred on the origin, so that flips are rotations about it
    for axes in ((0, 1), (0, 2), (1, 2)):
        for turns in (1, 2):
            turned = np.rot90(core, turns, axes)
            assert np.corrcoef(core.ravel(), turned.ravel())[0, 1] < 0.85


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="diameter of 50"):
        fold(20.0)
    with pytest.raises(ValueError, match="diameter of 50"):
        fold(100.0, domains=0)
