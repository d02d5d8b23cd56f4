"""Maps and atoms on their way to the simulator."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.simulate.specimen import AtomicModel, DensityMap

PDB = """\
ATOM      1  C   ALA A   1       3.000   0.000   0.000  1.00 20.00           C
ATOM      2  O   ALA A   1      -3.000   2.000   0.000  1.00 20.00           O
ATOM      3  H   ALA A   1       0.000  -2.000   4.000  1.00 20.00           H
HETATM    4  O   HOH A   2       0.000   0.000  -4.000  1.00 20.00           O
END
"""


def blob(size: int, centre: tuple[float, float, float], width: float = 1.5) -> np.ndarray:
    z, y, x = (np.arange(size) - c for c in centre)
    square = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    return np.exp(-square / (2 * width**2)).astype(np.float32)


def save(path: Path, values: np.ndarray, pixel_size: float = 2.0) -> Path:
    mrcfile.write(path, values, voxel_size=pixel_size)
    return path


def test_a_map_is_taken_as_it_is(tmp_path: Path) -> None:
    values = blob(16, (9, 7, 6))
    volume = DensityMap(save(tmp_path / "a.mrc", values)).volume(24, 1.0)
    np.testing.assert_array_equal(volume.values.numpy(), values)
    assert (volume.pixel_size, volume.volts) == (2.0, False)


@pytest.mark.parametrize("size", [15, 16])
def test_the_other_hand(tmp_path: Path, size: int) -> None:
    """Mirrored about the origin voxel: z of a blob changes its sign, in even and odd boxes."""
    centre = size // 2
    path = save(tmp_path / "a.mrc", blob(size, (centre + 2.5, centre - 1, centre + 2)))
    mirrored = DensityMap(path, mirror=True).volume(size, 2.0).values.numpy()
    expected = blob(size, (centre - 2.5, centre - 1, centre + 2))
    np.testing.assert_allclose(mirrored, expected, atol=2e-3)


@pytest.mark.parametrize("size", [23, 24])
def test_recentring(tmp_path: Path, size: int) -> None:
    path = save(tmp_path / "a.mrc", blob(size, (10.3, 12.0, 9.6), 2.0))
    moved = DensityMap(path, recentre=True).volume(size, 2.0).values.numpy()
    np.testing.assert_allclose(moved, blob(size, (size // 2,) * 3, 2.0), atol=5e-3)


def test_volts(tmp_path: Path) -> None:
    volume = DensityMap(save(tmp_path / "a.mrc", blob(16, (8, 8, 8))), volts=3.0).volume(16, 2.0)
    assert volume.volts
    assert float(volume.values.max()) == pytest.approx(3.0)


def test_a_model_in_the_place_of_a_map(tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text(PDB)
    with pytest.raises(InputError, match="specimen=atomic_model"):
        DensityMap(tmp_path / "a.pdb").volume(16, 1.0)


def test_atoms_become_a_potential(tmp_path: Path) -> None:
    """Its sum is 47.878 V A^2 times the scattering lengths: C 2.51, O 1.98, H 0.53 A (Peng et al. 1996)."""
    (tmp_path / "a.pdb").write_text(PDB)
    volume = AtomicModel(tmp_path / "a.pdb").volume(32, 0.8)
    assert volume.volts
    total = float(volume.values.double().sum()) * 0.8**3
    assert total == pytest.approx(47.878 * (2.509 + 1.983 + 0.529), rel=0.01)
    bare = AtomicModel(tmp_path / "a.pdb", hydrogens=False, waters=True).volume(32, 0.8)
    total = float(bare.values.double().sum()) * 0.8**3
    assert total == pytest.approx(47.878 * (2.509 + 2 * 1.983), rel=0.01)


def test_atoms_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text(PDB)
    with pytest.raises(InputError, match="outside the box"):
        AtomicModel(tmp_path / "a.pdb").volume(6, 0.8)
