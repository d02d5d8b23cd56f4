"""The part of the power that follows the metadata: drawn from a known one and found again."""

import math

import torch

from cryoalign.models.physical.covariates import Covariates, fit_covariates, no_covariates
from cryoalign.physics.half_plane import half_plane

PIXELS = half_plane(32).pixels
USED = PIXELS >= 8
SLOPE = torch.stack([torch.linspace(0.3, 0, len(PIXELS)), torch.full((len(PIXELS),), -0.1)], 1)
NAN = torch.full((300,), math.nan)
FLAT = torch.full((300,), 1.5e4)  # the defocus of every image


def _draw(seed: int, images: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    dose = 120 * torch.rand(images, generator=generator)
    tilt = 120 * torch.rand(images, generator=generator) - 60
    rows = torch.stack([(dose - 60) / 35, (tilt.abs() - 30) / 17], 1)
    error = torch.polygamma(1, PIXELS / 2).sqrt().float()
    return rows @ SLOPE.t() + error * torch.randn(images, len(PIXELS), generator=generator), dose, tilt


def test_finds_the_slopes_again() -> None:
    u, dose, tilt = _draw(0)
    found = fit_covariates(u, PIXELS, dose, tilt, FLAT)
    error = (torch.polygamma(1, PIXELS / 2) / 300).sqrt()
    expected = SLOPE * found.scale[:2] / torch.tensor([35.0, 17.0])
    apart = ((found.slope[:, :2] - expected) / error[:, None])[USED]
    assert apart.abs().max() < 4.5
    assert (found.slope[~USED] == 0).all()
    torch.testing.assert_close(found.log_power(dose, tilt, FLAT), found.log_power(dose, -tilt, FLAT))


def test_predicts_other_images_better_than_nothing() -> None:
    u, dose, tilt = _draw(1)
    found = fit_covariates(u, PIXELS, dose, tilt, FLAT)
    u, dose, tilt = _draw(2)
    gain = found.log_likelihood(u, PIXELS, dose, tilt, FLAT[: len(u)]) - no_covariates(
        len(PIXELS)
    ).log_likelihood(u, PIXELS, dose, tilt, FLAT)
    assert gain.sum() > 10 * gain.std() * math.sqrt(300)


def test_likelihood_is_that_of_the_normal_distribution() -> None:
    u, dose, tilt = _draw(3, images=5)
    found = Covariates(
        torch.tensor([60.0, 30.0, 0.0]),
        torch.tensor([35.0, 17.0, 0.0]),
        torch.cat([SLOPE, 0 * SLOPE[:, :1]], 1),
    )
    error = torch.polygamma(1, PIXELS / 2).sqrt()
    normal = torch.distributions.Normal(found.log_power(dose, tilt, FLAT[:5]).double(), error)
    expected = normal.log_prob(u.double())[:, USED].sum(1)
    torch.testing.assert_close(
        found.log_likelihood(u, PIXELS, dose, tilt, FLAT[: len(u)]), expected, rtol=1e-5, atol=0
    )


def test_what_is_not_known_is_not_used() -> None:
    u, dose, tilt = _draw(4)
    found = fit_covariates(u, PIXELS, NAN, tilt, FLAT)
    assert found.scale[0] == 0
    assert found.scale[1] > 0
    assert found.log_power(dose, tilt, FLAT).isfinite().all()
    assert (found.log_power(NAN[:2], NAN[:2], FLAT[:2]) == 0).all()
    assert (fit_covariates(u, PIXELS, NAN, torch.full((300,), 3.0), FLAT).slope == 0).all()


def test_one_unknown_image_is_an_average_one() -> None:
    u, dose, tilt = _draw(5)
    dose[7] = math.nan
    found = fit_covariates(u, PIXELS, dose, tilt, FLAT)
    assert found.scale[0] > 0
    tilt[7] = math.nan
    assert (found.log_power(dose, tilt, FLAT)[7] == 0).all()


def test_defocus_is_one_too_but_not_far_out() -> None:
    u, dose, tilt = _draw(6)
    defocus = torch.linspace(1e4, 2e4, 300)
    u = u + 0.2 * (defocus[:, None] - 1.5e4) / 2.9e3 * USED
    found = fit_covariates(u, PIXELS, dose, tilt, defocus)
    assert (found.slope[:, 2][USED] - 0.2).abs().max() < 0.15
    far = torch.tensor([1.5e4 + 2.5 * float(found.scale[2]), 9e4])
    power = found.log_power(NAN[:2], NAN[:2], far)
    torch.testing.assert_close(power[0], power[1], rtol=1e-3, atol=1e-5)
