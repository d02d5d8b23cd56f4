"""Uncertainty of the CTF: drawn with known rho and found again; exponential power has none."""

import math

import pytest
import torch

from cryoalign.models.physical.ctf_uncertainty import (
    Uncertainty,
    UncertaintySums,
    log_likelihood,
    relative_power,
    relative_variance,
    symmetric_normal,
)
from cryoalign.models.physical.modes import log_ring_power
from cryoalign.physics.half_plane import half_plane, squared

BOX = 32
RINGS = half_plane(BOX)
IMAGES = 240


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _draw(rho: torch.Tensor, images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Power and amplitude of noise through a CTF of different defoci, rho by ring."""
    generator = _generator(seed)
    white, other = torch.randn(2, images, BOX, BOX, generator=generator)
    defocus = 0.02 + 0.02 * torch.rand(images, 1, 1, generator=generator)
    amplitude = 1.5 * torch.sin(defocus * RINGS.radius.square()).abs().float()
    expected = relative_power(amplitude, rho[RINGS.ring], symmetric_normal(other))
    return squared(torch.fft.rfft2(white, norm="ortho")) * expected, amplitude


def _fit(power: torch.Tensor, amplitude: torch.Tensor) -> Uncertainty:
    sums = UncertaintySums(BOX)
    group = torch.arange(len(power)) // 10
    for rows in torch.arange(len(power)).split(70):
        sums.add(power[rows], amplitude[rows], group[rows])
    return sums.fit()


@pytest.mark.parametrize("box", [8, 9])
def test_numbers_are_standard_normal_and_symmetric(box: int) -> None:
    numbers = symmetric_normal(torch.randn(20_000, box, box, generator=_generator(0)))
    assert (numbers.mean(0).abs() < 4.5 / math.sqrt(20_000)).all()
    assert (numbers.var(0) - 1).abs().max() < 4.5 * math.sqrt(2 / 20_000)
    torch.testing.assert_close(numbers[:, 1:, 0], numbers[:, 1:, 0].flip(1))


def test_mean_power_does_not_depend_on_rho() -> None:
    eta = torch.randn(200_000, generator=_generator(1))
    for rho in (0.0, 0.3, 1.0):
        mean = relative_power(torch.full((200_000,), 0.7), rho, eta).mean()
        assert abs(mean - 1.49) < 0.02


def test_likelihood_is_a_density() -> None:
    power = torch.linspace(0, 60, 60_001, dtype=torch.float64)
    for rho in (0.0, 0.5):
        density = log_likelihood(power, torch.full_like(power, 0.8), rho).exp()
        assert abs(torch.trapezoid(density, power) - 1) < 1e-3
        assert abs(torch.trapezoid(density * power, power) - 1.64) < 2e-3


def test_finds_rho_again() -> None:
    truth = torch.where(torch.arange(len(RINGS.pixels)) < 10, 0.0, 0.5)
    found = _fit(*_draw(truth, IMAGES, seed=2))
    outer = (RINGS.pixels >= 30) & (truth > 0)
    assert (found.rho[truth == 0] == 0).all()
    assert (found.rho[outer] > 0).all()
    assert abs(found.rho[outer].mean() - 0.5) < 0.05
    assert (found.rho[outer] - 0.5).abs().max() < 0.25
    assert found.rho[RINGS.pixels < 8].sum() == 0
    assert len(found.held_out) == 8
    assert found.held_out.sum() > 2 * found.held_out.std() * math.sqrt(8)


@pytest.mark.parametrize("ratio", [1.0, 10.0, 30.0, 100.0, 400.0, 1000.0])
def test_finds_rho_as_the_likelihood_of_each_number_does_at_any_ratio(ratio: float) -> None:
    """C / B is large where particles were multiplied by their CTF."""
    generator, images = _generator(4), 1200
    white, other = torch.randn(2, images, BOX, BOX, generator=generator)
    phase = (0.02 + 0.02 * torch.rand(images, 1, 1, generator=generator)) * RINGS.radius.square()
    amplitude = (math.sqrt(ratio) * torch.sin(phase)).abs().float()
    expected = relative_power(amplitude, 0.3, symmetric_normal(other))
    power = squared(torch.fft.rfft2(white, norm="ortho")) * expected
    found = _fit(power, amplitude).rho
    for ring in (12, 14):
        there = RINGS.ring == ring
        weight = RINGS.weight[there] / 2
        q, a = (values.double()[:, there] for values in (power, amplitude))
        total = [float((log_likelihood(q, a, step / 25) * weight).sum()) for step in range(26)]
        exact = total.index(max(total)) / 25
        assert abs(float(found[ring]) - exact) < 0.05
        assert abs(float(found[ring]) - 0.3) < 0.15


def test_finds_nothing_in_exponential_power() -> None:
    nothing = torch.zeros(len(RINGS.pixels))
    for seed in range(20):
        found = _fit(*_draw(nothing, 40, seed))
        assert found.rho.sum() == 0
        assert found.held_out.sum() == 0


def test_the_table_agrees_with_the_likelihood_of_each_number() -> None:
    truth = torch.full((len(RINGS.pixels),), 0.4)
    power, amplitude = _draw(truth, IMAGES, seed=3)
    there = RINGS.ring == 14
    weight = RINGS.weight[there] / 2

    def total(rho: float) -> float:
        values = log_likelihood(power.double()[:, there], amplitude.double()[:, there], rho)
        return float((values * weight).sum())

    exact = max((step / 50 for step in range(51)), key=total)
    assert abs(float(_fit(power, amplitude).rho[14]) - exact) < 0.03


def test_variance_of_relative_power_is_that_of_draws() -> None:
    generator = _generator(8)
    amplitude = torch.tensor([0.0, 0.5, 1.0, 3.0])[:, None].expand(4, 400_000)
    for rho in (0.0, 0.3, 1.0):
        power = relative_power(amplitude, rho, torch.randn(amplitude.shape, generator=generator))
        measured = power * torch.empty(amplitude.shape).exponential_(generator=generator)
        found = measured.var(1) / (1 + amplitude[:, 0].square()).square()
        expected = relative_variance(amplitude[:, 0], torch.tensor(rho))
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_power_of_rings_is_better_known_with_weights() -> None:
    generator = _generator(9)
    shape = (400, BOX, BOX // 2 + 1)
    amplitude = 3 * torch.rand(shape, generator=generator)
    eta = symmetric_normal(torch.randn(400, BOX, BOX, generator=generator))
    white = squared(torch.fft.rfft2(torch.randn(400, BOX, BOX, generator=generator), norm="ortho"))
    relative = white * relative_power(amplitude, 1.0, eta) / (1 + amplitude.square())
    plain, _ = log_ring_power(relative, BOX)
    weighted, pixels = log_ring_power(relative, BOX, 1 / relative_variance(amplitude, torch.tensor(1.0)))
    rings = slice(3, BOX // 2)
    assert (weighted.var(0) / plain.var(0))[rings].mean() < 0.95
    expected = torch.polygamma(1, pixels.mean(0) / 2)
    assert ((weighted.var(0) / expected)[rings].mean() - 1).abs() < 0.1
