"""Zernike polynomials and coma against independent evaluations; RELION's stand in tests/agreement."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import constants, integrate, special

from cryoalign.physics.aberration import beam_tilt_phase, zernike, zernike_order, zernike_phase
from cryoalign.physics.fourier import frequency_grid, magnify

KY, KX = frequency_grid(20, 1.3, dtype=torch.float64)
# Written out, in the order of RELION's columns.
X, Y = KX + 0 * KY, KY + 0 * KX
R, ANGLE = torch.hypot(X, Y), torch.atan2(Y, X).numpy()
ODD = (
    Y,
    X,
    3 * X**2 * Y - Y**3,
    (3 * R**2 - 2) * Y,
    (3 * R**2 - 2) * X,
    X**3 - 3 * X * Y**2,
)
EVEN = (
    1 + 0 * R,
    2 * X * Y,
    2 * R**2 - 1,
    X**2 - Y**2,
    4 * X * Y * (X**2 - Y**2),
    (4 * R**2 - 3) * 2 * X * Y,
    6 * R**4 - 6 * R**2 + 1,
    (4 * R**2 - 3) * (X**2 - Y**2),
    X**4 - 6 * X**2 * Y**2 + Y**4,
)


@pytest.mark.parametrize(("parity", "written"), [("odd", ODD), ("even", EVEN)])
def test_low_orders_are_the_polynomials_written_out(parity: str, written: tuple) -> None:
    for index, polynomial in enumerate(written):
        alone = torch.zeros(1, len(written), dtype=torch.float64)
        alone[0, index] = 2.5
        found = zernike_phase(KY, KX, alone, parity)[0]
        assert torch.allclose(found, 2.5 * polynomial), index


def test_higher_orders_against_jacobi_polynomials() -> None:
    """R = (-1)^l r^m P_l^(m, 0)(1 - 2 r^2), l = (n - m) / 2: another way to the same polynomial."""
    for parity, count in (("odd", 20), ("even", 25)):
        for n, m in (zernike_order(index, parity) for index in range(count)):
            order, lower = abs(m), (n - abs(m)) // 2
            jacobi = special.eval_jacobi(lower, order, 0, 1 - 2 * R.numpy() ** 2)
            radial = (-1) ** lower * R.numpy() ** order * jacobi
            expected = radial * (np.cos(m * ANGLE) if m >= 0 else np.sin(order * ANGLE))
            np.testing.assert_allclose(zernike(n, m, KY, KX).numpy(), expected, atol=1e-12)


def test_polynomials_are_orthogonal_on_the_unit_disk() -> None:
    def product(first: tuple[int, int], second: tuple[int, int]) -> float:
        def integrand(angle: float, radius: float) -> float:
            y, x = (torch.tensor(radius * f(angle), dtype=torch.float64) for f in (math.sin, math.cos))
            return radius * float(zernike(*first, y, x) * zernike(*second, y, x))

        return integrate.dblquad(integrand, 0, 1, 0, 2 * math.pi, epsabs=1e-6)[0]

    assert product((3, -1), (1, -1)) == pytest.approx(0, abs=1e-5)
    assert product((4, 0), (2, 0)) == pytest.approx(0, abs=1e-5)
    assert product((3, 1), (3, 1)) == pytest.approx(math.pi / 8, rel=1e-5)


def test_a_polynomial_that_does_not_exist() -> None:
    for n, m in ((2, 1), (1, 3)):
        with pytest.raises(ValueError, match="no Zernike polynomial"):
            zernike(n, m, KY, KX)


def test_each_row_has_its_own_coefficients_and_frequencies() -> None:
    coefficients = torch.tensor([[0.0, 3, 0, 0, 0, 20], [5, 0, 0, 0, 0, 0]], dtype=torch.float64)
    matrices = torch.tensor([[[1, 0.0], [0, 1]], [[1.02, 0.01], [-0.03, 0.97]]], dtype=torch.float64)
    ky, kx = magnify(KY, KX, matrices)
    both = zernike_phase(ky, kx, coefficients, "odd")
    assert torch.allclose(both[0], zernike_phase(KY, KX, coefficients[:1], "odd")[0])
    assert torch.allclose(both[1], 5 * (-0.03 * KX + 0.97 * KY))


def test_no_coefficients_mean_no_phase() -> None:
    assert not zernike_phase(KY, KX, torch.zeros(2, 0, dtype=torch.float64), "even").any()


def test_beam_tilt_is_the_gradient_of_the_spherical_phase() -> None:
    """Tilting the beam by t moves the wave aberration chi by t / lambda: chi(k + t / lambda) has the odd part
    t / lambda . grad chi to first order, here of chi = pi / 2 Cs lambda^3 k^4, with RELION's sign."""
    energy, rest = 2e5 * constants.e, constants.m_e * constants.c**2
    wavelength = constants.h * constants.c / math.sqrt(energy * (2 * rest + energy)) * 1e10
    k = torch.stack([KX + 0 * KY, KY + 0 * KX]).requires_grad_()
    spherical = math.pi / 2 * 2.7e7 * wavelength**3 * k.square().sum(0).square()
    (gradient,) = torch.autograd.grad(spherical.sum(), k)
    expected = -(0.8e-3 * gradient[0] - 0.3e-3 * gradient[1]) / wavelength
    found = beam_tilt_phase(
        KY,
        KX,
        beam_tilt=torch.tensor([[0.8, -0.3]], dtype=torch.float64),
        voltage=torch.tensor([200.0], dtype=torch.float64),
        spherical_aberration=torch.tensor([2.7], dtype=torch.float64),
    )[0]
    assert found.abs().max() > 1
    assert torch.allclose(found, expected, rtol=1e-4)


def test_magnified_frequencies_are_the_matrix_times_x_and_y() -> None:
    ky, kx = magnify(KY, KX, torch.tensor([[[1.1, 0.2], [0.3, 0.9]]], dtype=torch.float64))
    assert ky.shape == kx.shape == (1, 20, 11)
    assert kx[0, 3, 5].item() == pytest.approx((1.1 * KX[0, 5] + 0.2 * KY[3, 0]).item())
    assert ky[0, 3, 5].item() == pytest.approx((0.3 * KX[0, 5] + 0.9 * KY[3, 0]).item())
