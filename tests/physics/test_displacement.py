"""The solvent that atoms displace, by its volume, its place and its smoothness."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.physics.displacement import occupied
from cryoalign.physics.potential import Atoms

BOX, PIXEL_SIZE = 32, 3.0
PLACES = np.array([[6.2, -9.1, 3.3], [-4.0, 2.5, 11.7], [0.4, 8.8, -7.9]])


def atoms(places: np.ndarray = PLACES, element: str = "C") -> Atoms:
    count = len(places)
    return Atoms(places, np.full(count, element), np.zeros(count), np.ones(count))


def test_the_volume_is_the_partial_specific_one() -> None:
    """0.73 cm3/g: 12.011 Da of carbon take 14.56 A3."""
    taken = occupied(atoms(), BOX, PIXEL_SIZE, centre=(0.0, 0.0, 0.0))
    assert float(taken.double().sum()) * PIXEL_SIZE**3 == pytest.approx(3 * 14.56, rel=1e-3)
    half = Atoms(PLACES, np.full(3, "C"), np.zeros(3), np.full(3, 0.5))
    assert float(occupied(half, BOX, PIXEL_SIZE).double().sum()) == pytest.approx(
        float(taken.sum()) / 2, rel=1e-3
    )


@pytest.mark.parametrize("box", [31, 32])
@pytest.mark.parametrize("pixel_size", [1.0, 3.0])
def test_an_atom_is_a_gaussian_at_its_place(box: int, pixel_size: float) -> None:
    place, width = np.array([[3.1, -4.2, 6.6]]), 3.0
    taken = occupied(atoms(place), box, pixel_size, centre=(0.0, 0.0, 0.0), smoothing=width).numpy()
    grid = (np.arange(box) - box // 2) * pixel_size
    z, y, x = np.meshgrid(grid, grid, grid, indexing="ij")
    square = (x - 3.1) ** 2 + (y + 4.2) ** 2 + (z - 6.6) ** 2
    expected = 14.56 * np.exp(-square / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    assert np.corrcoef(taken.ravel(), expected.ravel())[0, 1] > 0.985  # placed to half a fine voxel
    centre = [(taken * axis).sum() / taken.sum() for axis in (x, y, z)]
    np.testing.assert_allclose(centre, place[0], atol=0.76)


def test_a_packed_ball_of_protein_density_fills_its_inside() -> None:
    """1.35 g/cm3 take all of the volume: 1 / 0.73 = 1.37 g/cm3."""
    rng = np.random.default_rng(0)
    radius = 30.0
    places = rng.uniform(-radius, radius, (40000, 3))
    places = places[np.linalg.norm(places, axis=1) < radius]
    density = 1.35 * 0.60221408 / 12.011  # carbons per A3
    places = places[: round(4 / 3 * np.pi * radius**3 * density)]
    taken = occupied(atoms(places), BOX, PIXEL_SIZE, centre=(0.0, 0.0, 0.0)).numpy()
    axis = (np.arange(BOX) - BOX // 2) * PIXEL_SIZE
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    assert taken[distance < 22].mean() == pytest.approx(1.35 * 0.73, rel=0.04)
    assert np.abs(taken[distance > 42]).max() < 0.02
