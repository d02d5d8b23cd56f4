"""The part of the power that follows dose and tilt: drawn from a known one and found again."""

import math

import torch

from cryoalign.models.physical.covariates import Covariates, fit_covariates, no_covariates
from cryoalign.physics.half_plane import half_plane

PIXELS = half_plane(32).pixels
USED = PIXELS >= 8
SLOPE = torch.stack([torch.linspace(0.3, 0, len(PIXELS)), torch.full((len(PIXELS),), -0.1)], 1)
NAN = torch.full((300,), math.nan)


def _draw(seed: int, images: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    dose = 120 * torch.rand(images, generator=generator)
    tilt = 120 * torch.rand(images, generator=generator) - 60
    rows = torch.stack([(dose - 60) / 35, (tilt.abs() - 30) / 17], 1)
    error = torch.polygamma(1, PIXELS / 2).sqrt().float()
    return rows @ SLOPE.t() + error * torch.randn(images, len(PIXELS), generator=generator), dose, tilt


def test_finds_the_slopes_again() -> None:
    u, dose, tilt = _draw(0)
    found = fit_covariates(u, PIXELS, dose, tilt)
    error = (torch.polygamma(1, PIXELS / 2) / 300).sqrt()
    expected = SLOPE * found.scale / torch.tensor([35.0, 17.0])
    apart = ((found.slope - expected) / error[:, None])[USED]
    assert apart.abs().max() < 4.5
    assert (found.slope[~USED] == 0).all()
    torch.testing.assert_close(found.log_power(dose, tilt), found.log_power(dose, -tilt))


def test_predicts_other_images_better_than_nothing() -> None:
    u, dose, tilt = _draw(1)
    found = fit_covariates(u, PIXELS, dose, tilt)
    u, dose, tilt = _draw(2)
    gain = found.log_likelihood(u, PIXELS, dose, tilt) - no_covariates(len(PIXELS)).log_likelihood(
        u, PIXELS, dose, tilt
    )
    assert gain.sum() > 10 * gain.std() * math.sqrt(300)


def test_likelihood_is_that_of_the_normal_distribution() -> None:
    u, dose, tilt = _draw(3, images=5)
    found = Covariates(torch.tensor([60.0, 30.0]), torch.tensor([35.0, 17.0]), SLOPE)
    error = torch.polygamma(1, PIXELS / 2).sqrt()
    normal = torch.distributions.Normal(found.log_power(dose, tilt).double(), error)
    expected = normal.log_prob(u.double())[:, USED].sum(1)
    torch.testing.assert_close(found.log_likelihood(u, PIXELS, dose, tilt), expected, rtol=1e-5, atol=0)


def test_what_is_not_known_is_not_used() -> None:
    u, dose, tilt = _draw(4)
    found = fit_covariates(u, PIXELS, NAN, tilt)
    assert found.scale[0] == 0
    assert found.scale[1] > 0
    assert found.log_power(dose, tilt).isfinite().all()
    assert (found.log_power(NAN[:2], NAN[:2]) == 0).all()
    assert (fit_covariates(u, PIXELS, NAN, torch.full((300,), 3.0)).slope == 0).all()


def test_one_unknown_image_is_an_average_one() -> None:
    u, dose, tilt = _draw(5)
    dose[7] = math.nan
    found = fit_covariates(u, PIXELS, dose, tilt)
    assert found.scale[0] > 0
    tilt[7] = math.nan
    assert (found.log_power(dose, tilt)[7] == 0).all()


def test_description_has_the_names() -> None:
    both = Covariates(torch.zeros(2), torch.ones(2), torch.full((4, 2), 0.1))
    assert both.description() == "power follows dose (10 %) and tilt (10 %)"
    assert no_covariates(4).description() == "power does not follow dose or tilt"
