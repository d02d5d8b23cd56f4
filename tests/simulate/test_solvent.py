"""Ice against its own formulas and against numbers from the literature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulate.solvent import Ice, IceMolecules, IceNoise

BOX, PIXEL_SIZE = 64, 1.0


def power(ice: Ice, draws: int = 200, box: int = BOX, pixel_size: float = PIXEL_SIZE) -> torch.Tensor:
    """Mean power of the projected potential per area in V^2 A^4, by ring."""
    total = torch.zeros(box, box // 2 + 1, dtype=torch.float64)
    for number in range(draws):
        field = ice.draw(np.random.default_rng([1, number]), box, pixel_size)[0]
        total += torch.fft.rfft2(field.double()).abs().square()
    return ring_mean(total / draws, box) * pixel_size**2 / box**2


def frequency(box: int = BOX, pixel_size: float = PIXEL_SIZE) -> torch.Tensor:
    return torch.arange(box // 2 + 1, dtype=torch.float64) / (box * pixel_size)


def test_mean_inner_potential_of_ice() -> None:
    """About 4.5 V for independent atoms at 0.92 to 0.94 g/cm3; measured values lie somewhat lower."""
    ice = IceNoise()
    volts = ice.number_density * float(ice.molecule(torch.zeros(1)))
    assert 4.3 < volts < 4.8
    assert ice.number_density == pytest.approx(0.0314, abs=2e-4)


def test_independent_molecules_have_the_spectrum_of_one_molecule() -> None:
    ice = IceMolecules(thickness=200.0)
    expected = ice.number_density * 200.0 * ice.molecule(frequency()).square()
    torch.testing.assert_close(power(ice)[2:], expected[2:], rtol=0.08, atol=0.0)


def test_noise_has_the_spectrum_of_amorphous_ice() -> None:
    ice = IceNoise(thickness=200.0)
    measured = power(ice) / (ice.number_density * 200.0 * ice.molecule(frequency()).square())
    torch.testing.assert_close(measured[3:], ice.structure_factor(frequency())[3:], rtol=0.12, atol=0.0)
    assert 3.4 < 1 / float(frequency()[measured.argmax()]) < 4.0  # the first halo
    assert float(measured[3]) < 0.15


@pytest.mark.parametrize("kind", [IceNoise, IceMolecules])
def test_power_per_area_does_not_depend_on_the_grid(kind: type[Ice]) -> None:
    fine, coarse = power(kind(), box=64, pixel_size=1.0), power(kind(), box=32, pixel_size=2.0)
    torch.testing.assert_close(coarse[2:12], fine[2:12], rtol=0.15, atol=0.0)


def test_slices_share_the_slab() -> None:
    ice = IceNoise(thickness=100.0)
    variance = np.zeros(6)
    for number in range(40):
        field = ice.draw(np.random.default_rng(number), 32, 2.0, count=6, slice_thickness=30.0)
        variance += field.var(dim=(1, 2)).numpy()
    np.testing.assert_allclose(variance / variance[2:4].mean() * 30, [0, 20, 30, 30, 20, 0], atol=2.0)
    thick = IceNoise(thickness=400.0).draw(np.random.default_rng(0), 32, 2.0, count=6, slice_thickness=30.0)
    assert float(thick[0].var() / thick[2].var()) == pytest.approx((400 - 120) / 2 / 30, rel=0.3)


def test_motion_blurs_the_molecules() -> None:
    still, moving = power(IceMolecules(), 30), power(IceMolecules(bfactor=60.0), 30)
    expected = torch.exp(-60.0 / 2 * frequency().square())
    torch.testing.assert_close(moving / still, expected, rtol=0.04, atol=0.0)


NUMBERS = (
    "thickness",
    "density",
    "bfactor",
    "compressibility",
    "correlation",
    "halo",
    "halo_height",
    "halo_width",
)


@pytest.mark.parametrize("name", NUMBERS)
def test_no_negative_or_endless_ice(name: str) -> None:
    for value in (-1.0, 1e30):
        with pytest.raises(InputError, match=rf"solvent\.{name} is out of range"):
            IceNoise(**{name: value})
