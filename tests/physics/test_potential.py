"""The potential of atoms against the closed form of its transform, and against the mean inner potential."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
import torch
from scipy.constants import angstrom, e, epsilon_0, physical_constants

from cryoalign.errors import InputError
from cryoalign.physics.potential import VOLTS_PER_SCATTERING_DENSITY, Atoms, potential


def atoms(*rows: tuple[str, tuple[float, float, float], float, float]) -> Atoms:
    names, places, spreads, shares = zip(*rows, strict=True)
    return Atoms(np.array(places), np.array(names), np.array(spreads), np.array(shares))


PAIR = atoms(("C", (1.3, -2.2, 0.4), 0.0, 1.0), ("U", (-3.1, 2.6, 3.7), 25.0, 0.6))


def transform(some: Atoms, box: int, pixel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """The Fourier transform of the potential in closed form, and the radius of its frequencies."""
    axis = np.fft.fftfreq(box, pixel_size)
    kz, ky, kx = np.meshgrid(axis, axis, axis, indexing="ij")
    k2 = kx**2 + ky**2 + kz**2
    total = np.zeros(k2.shape, dtype=complex)
    for name, (x, y, z), spread, share in zip(
        some.elements, some.positions, some.bfactor, some.occupancy, strict=True
    ):
        table = gemmi.Element(name).c4322
        factor = sum(a * np.exp(-(b + spread) * k2 / 4) for a, b in zip(table.a, table.b, strict=True))
        total += share * factor * np.exp(-2j * np.pi * (kx * x + ky * y + kz * z))
    return total * VOLTS_PER_SCATTERING_DENSITY / pixel_size**3, np.sqrt(k2)


@pytest.mark.parametrize(("box", "pixel_size"), [(32, 0.7), (24, 1.0), (21, 1.7)])
def test_the_transform_is_that_of_the_scattering_factors(box: int, pixel_size: float) -> None:
    """Atoms far sharper than the grid: nothing of what lies beyond Nyquist has folded back."""
    volume = potential(PAIR, box, pixel_size, centre=(0, 0, 0))
    assert volume.dtype == torch.float32
    found = np.fft.fftn(np.fft.ifftshift(volume.double().numpy()))
    truth, radius = transform(PAIR, box, pixel_size)
    inside = radius < 0.999 / (2 * pixel_size)
    typical = np.abs(truth)[inside].mean()
    assert np.abs(found - truth)[inside].max() < 1e-4 * typical
    beyond = radius > 1.001 / (2 * pixel_size)
    assert np.abs(found)[beyond].max() < 1e-4 * typical


def test_an_additional_bfactor_is_added_to_that_of_the_atoms() -> None:
    blurred = Atoms(PAIR.positions, PAIR.elements, PAIR.bfactor + 40, PAIR.occupancy)
    found = potential(PAIR, 24, 1.0, centre=(0, 0, 0), bfactor=40)
    assert torch.allclose(found, potential(blurred, 24, 1.0, centre=(0, 0, 0)), atol=1e-4)


def test_the_constant_is_that_of_the_mott_bethe_formula() -> None:
    """Without screening, Mott-Bethe's scattering factor is that of the Coulomb potential."""
    bohr = physical_constants["Bohr radius"][0]
    # The transform of the Coulomb potential is Z e / (4 pi^2 eps0 k^2), f at k is Z / (2 pi^2 a0 k^2).
    coulomb = e / (4 * np.pi**2 * epsilon_0) / angstrom
    assert VOLTS_PER_SCATTERING_DENSITY / (2 * np.pi**2 * bohr / angstrom) == pytest.approx(coulomb, rel=1e-6)


def test_carbon_has_its_mean_inner_potential() -> None:
    """Amorphous carbon of 1.8 g/cm^3 in independent atoms: about 10.8 V."""
    cell = 12.011 / 0.602214 / 1.8  # A^3 an atom
    total = potential(atoms(("C", (0, 0, 0), 5.0, 1.0)), 24, 1.0, centre=(0, 0, 0)).double().sum().item()
    assert total / cell == pytest.approx(10.8, abs=0.1)


def test_centres() -> None:
    some = atoms(
        ("C", (10, 10, 10), 30.0, 1.0), ("C", (14, 10, 10), 30.0, 0.5), ("O", (10, 16, 10), 30.0, 1.0)
    )
    mass = gemmi.Element("C").weight, gemmi.Element("C").weight / 2, gemmi.Element("O").weight
    middle = np.average(some.positions, axis=0, weights=mass)
    expected = potential(some, 24, 1.0, centre=tuple(middle))
    assert torch.allclose(potential(some, 24, 1.0), expected, atol=1e-5)
    expected = potential(some, 24, 1.0, centre=(12, 13, 10))
    assert torch.allclose(potential(some, 24, 1.0, centre="extent"), expected, atol=1e-5)
    single = potential(atoms(("C", (2, 3, -4), 20.0, 1.0)), 24, 1.0, centre=(0, 0, 0))
    assert np.unravel_index(int(single.argmax()), single.shape) == (12 - 4, 12 + 3, 12 + 2)


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"1 of 2 atoms lie outside(.|\n)*at least 16 px"):
        potential(atoms(("C", (0, 0, 0), 0.0, 1.0), ("C", (0, 7, 0), 0.0, 1.0)), 14, 1.0, centre=(0, 0, 0))
    with pytest.raises(InputError, match="no atoms"):
        potential(Atoms(np.zeros((0, 3)), np.zeros(0, "<U2"), np.zeros(0), np.zeros(0)), 16, 1.0)
    with pytest.raises(InputError, match=r"scattering factor(.|\n)*Es"):
        potential(atoms(("Es", (0, 0, 0), 0.0, 1.0)), 16, 1.0, centre=(0, 0, 0))
    with pytest.raises(InputError, match=r"B-factor is out of range(.|\n)*0 to 10000 A\^2"):
        potential(PAIR, 16, 1.0, bfactor=-1)
    for centre in ("middle", (0, 0)):
        with pytest.raises(InputError, match="centre of the atoms"):
            potential(PAIR, 16, 1.0, centre=centre)
