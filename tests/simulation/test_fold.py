"""The protein-like specimen: reproducible, of the size asked for, sampled without losing mass or place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryoalign.simulation.fold import density, fold

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
    volume = density(atoms, 32, 5.0)
    core = volume[1:, 1:, 1:]  # centred on the origin, so that flips are rotations about it
    for axes in ((0, 1), (0, 2), (1, 2)):
        for turns in (1, 2):
            turned = np.rot90(core, turns, axes)
            assert np.corrcoef(core.ravel(), turned.ravel())[0, 1] < 0.85


def test_mass_and_place_do_not_depend_on_the_sampling(atoms):
    for box, pixel_size in ((32, 5.0), (64, 2.5)):
        volume = density(atoms, box, pixel_size).astype(np.float64)
        assert volume.sum() * pixel_size**3 == pytest.approx(len(atoms), rel=1e-5)
        grid = (np.arange(box) - box // 2) * pixel_size
        centre = [(volume.sum(axis=axes) * grid).sum() / volume.sum() for axes in ((0, 1), (0, 2), (1, 2))]
        np.testing.assert_allclose(centre, 0, atol=0.02)  # x, y, z


def test_one_atom_is_a_gaussian_at_its_place():
    place, sigma, pixel_size, box = np.array([[3.1, -4.2, 7.7]]), 2.4, 1.2, 40
    volume = density(place, box, pixel_size, sigma=sigma)
    grid = (np.arange(box) - box // 2) * pixel_size
    z, y, x = np.meshgrid(grid, grid, grid, indexing="ij")
    squared = (x - 3.1) ** 2 + (y + 4.2) ** 2 + (z - 7.7) ** 2
    expected = np.exp(-squared / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** 1.5
    np.testing.assert_allclose(volume, expected, atol=2e-3 * expected.max())


def test_misuse_is_refused(atoms):
    with pytest.raises(ValueError, match="do not fit"):
        density(atoms, 32, 3.0)
    with pytest.raises(ValueError, match="diameter of 50"):
        fold(20.0)
    with pytest.raises(ValueError, match="diameter of 50"):
        fold(100.0, domains=0)
