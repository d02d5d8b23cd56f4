"""Variation of power between images: drawn from known modes and found again; chance alone has none."""

import math

import torch

from cryoalign.models.physical.modes import Modes, fit_modes, log_ring_power, no_modes
from cryoalign.physics.half_plane import half_plane, squared

BOX = 32
PIXELS = half_plane(BOX).pixels
RINGS = torch.arange(len(PIXELS)).float()
USED = PIXELS >= 8
#: A broad one and one of the coarse rings for images, a tilted one for micrographs.
WITHIN = torch.stack([0.15 + 0 * RINGS, 0.5 * torch.exp(-RINGS / 4)], 1) * USED[:, None]
BETWEEN = (0.02 * (RINGS - 8))[:, None] * USED[:, None]
MEAN = torch.where(USED, -0.05, 0.0)
SEPARATE = 0 * MEAN
NOISY = torch.where(RINGS == 6, 0.4, 0.0)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _sampling_error(images: int, generator: torch.Generator) -> torch.Tensor:
    """Log power of Gaussian rings: chi-square over the pixels of the whole plane."""
    half = (PIXELS / 2).float().expand(images, -1)
    chi_square = torch._standard_gamma(half, generator=generator).clamp(min=1e-30) / half
    return chi_square.log() - torch.digamma(half) + half.log()


def _draw(modes: Modes, groups: int, images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = _generator(seed)
    micrograph = torch.arange(groups).repeat_interleave(images)
    shared = torch.randn(groups, modes.between.shape[1], generator=generator)[micrograph]
    image = torch.randn(len(micrograph), modes.within.shape[1], generator=generator)
    ring = torch.randn(len(micrograph), len(PIXELS), generator=generator)
    return modes.log_power(image, shared, ring) + _sampling_error(len(micrograph), generator), micrograph


def _covariance(modes: torch.Tensor) -> torch.Tensor:
    return modes @ modes.t()


def test_log_power_of_white_images_is_what_chance_gives() -> None:
    images = torch.randn(800, BOX, BOX, generator=_generator(0))
    u, _ = log_ring_power(squared(torch.fft.rfft2(images, norm="ortho")), BOX)
    inside = USED & (RINGS > 0)
    variance = torch.polygamma(1, PIXELS / 2)[inside]
    error = (variance / 800).sqrt()
    assert ((u.mean(0)[inside] / error).abs() < 4).all()
    assert (u.var(0)[inside] / variance - 1).abs().max() < 4 * math.sqrt(2 / 800) * 1.5  # skewed: wider


def test_log_power_follows_the_ring() -> None:
    flat = torch.full((1, BOX, BOX // 2 + 1), 3.0)
    u, pixels = log_ring_power(flat, BOX)
    assert torch.equal(pixels[0], PIXELS)
    expected = math.log(3) - torch.digamma(PIXELS / 2) + (PIXELS / 2).log()
    torch.testing.assert_close(u[0], expected.float())


def test_finds_the_covariances_again() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN, SEPARATE)
    u, micrograph = _draw(truth, groups=80, images=10, seed=1)
    found = fit_modes(u, PIXELS, micrograph)
    assert found.within.shape[1] == 2
    assert found.between.shape[1] == 1
    sampling = torch.polygamma(1, PIXELS / 2).float()
    within = _covariance(WITHIN)
    error = ((within.diagonal() + sampling)[:, None] * (within.diagonal() + sampling)[None] / 720).sqrt()
    apart = ((_covariance(found.within) - within) / error)[USED][:, USED]
    assert apart.square().mean() < 1
    assert apart.abs().max() < 4
    # 79 differences of means: the relative error of a variance is sqrt(2 / 79) = 0.16.
    ratio = found.between.square().sum() / BETWEEN.square().sum()
    assert abs(ratio - 1) < 3 * 0.16
    cosine = (found.between[:, 0] @ BETWEEN[:, 0]).abs() / found.between.norm() / BETWEEN.norm()
    assert cosine > 0.97
    assert (found.mean - MEAN)[USED].abs().max() < 0.15
    assert (found.within[~USED] == 0).all()
    assert (found.mean[~USED] == 0).all()


def test_a_ring_that_varies_by_itself_hides_no_modes() -> None:
    noisy = torch.where(RINGS == 6, 1.5, 0.0)
    u, micrograph = _draw(Modes(MEAN, WITHIN, BETWEEN, noisy), groups=80, images=10, seed=7)
    found = fit_modes(u, PIXELS, micrograph)
    assert found.within.shape[1] == 2
    assert abs(float(found.separate[6]) / 1.5 - 1) < 4 / math.sqrt(2 * 720)
    others = USED & (RINGS != 6)
    assert (found.separate[others] < 0.1).all()
    ratio = found.within[others].square().sum() / WITHIN[others].square().sum()
    assert abs(ratio - 1) < 0.25


def test_finds_nothing_in_chance_alone() -> None:
    kept = 0
    for seed in range(20):
        u, micrograph = _draw(no_modes(PIXELS), groups=20, images=10, seed=seed)
        modes = fit_modes(u, PIXELS, micrograph, seed=seed)
        kept += modes.within.shape[1] + modes.between.shape[1] > 0
    assert kept <= 1


def test_finds_nothing_in_chance_alone_beyond_permutation() -> None:
    kept = 0
    for seed in range(20):
        u, micrograph = _draw(no_modes(PIXELS), groups=100, images=100, seed=seed)
        modes = fit_modes(u, PIXELS, micrograph, seed=seed)
        kept += modes.within.shape[1] + modes.between.shape[1] > 0
    assert kept <= 1


def test_images_of_one_micrograph_each_vary_by_themselves() -> None:
    u, _ = _draw(Modes(MEAN, WITHIN, BETWEEN, SEPARATE), groups=300, images=1, seed=2)
    modes = fit_modes(u, PIXELS, torch.arange(300))
    assert modes.between.shape[1] == 0
    total = WITHIN.square().sum() + BETWEEN.square().sum()
    assert abs(modes.within.square().sum() / total - 1) < 0.25


def test_samples_have_the_moments_of_the_model() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN, SEPARATE)
    generator = _generator(3)
    micrograph = torch.arange(4000).repeat_interleave(2)
    u = truth.log_power(
        torch.randn(8000, 2, generator=generator),
        torch.randn(4000, 1, generator=generator)[micrograph],
        torch.randn(8000, len(PIXELS), generator=generator),
    )
    torch.testing.assert_close(u.mean(0), MEAN, atol=0.02, rtol=0)
    first, second = u[::2] - MEAN, u[1::2] - MEAN
    torch.testing.assert_close(first.t() @ second / 4000, _covariance(BETWEEN), atol=0.02, rtol=0)
    both = _covariance(WITHIN) + _covariance(BETWEEN)
    torch.testing.assert_close((u - MEAN).t() @ (u - MEAN) / 8000, both, atol=0.02, rtol=0)


def test_log_likelihood_is_that_of_the_joint_normal_distribution() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN, NOISY)
    u, micrograph = _draw(truth, groups=5, images=3, seed=4)
    found = truth.log_likelihood(u, PIXELS, micrograph)
    sampling = torch.polygamma(1, PIXELS / 2).diag()
    one = (sampling + _covariance(WITHIN.double()) + NOISY.double().square().diag())[USED][:, USED]
    shared = _covariance(BETWEEN.double())[USED][:, USED]
    joint = torch.kron(torch.eye(3).double(), one) + torch.kron(torch.ones(3, 3).double(), shared)
    normal = torch.distributions.MultivariateNormal(torch.zeros(len(joint)).double(), joint)
    rows = (u - MEAN).double()[:, USED].reshape(5, -1)
    torch.testing.assert_close(found.reshape(5, 3).sum(1), normal.log_prob(rows), rtol=1e-6, atol=0)


def test_held_out_micrographs_prefer_the_truth() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN, SEPARATE)
    u, micrograph = _draw(truth, groups=40, images=10, seed=5)
    training = micrograph < 20
    rest, left = u[~training], micrograph[~training]
    fitted = fit_modes(u[training], PIXELS, micrograph[training])

    def total(modes: Modes) -> float:
        return float(modes.log_likelihood(rest, PIXELS, left).sum())

    assert total(truth) > total(fitted) > total(no_modes(PIXELS))


def test_a_known_micrograph_has_its_amounts() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN, SEPARATE)
    generator = _generator(6)
    names = torch.tensor([7_000_000_000, 12, 5])
    amounts = torch.tensor([[2.0], [-1.5], [0.5]])
    row = torch.arange(3).repeat_interleave(200)
    image = torch.randn(600, 2, generator=generator)
    u = truth.log_power(image, amounts[row], torch.zeros(600, len(PIXELS))) + _sampling_error(600, generator)
    micrographs = truth.micrographs(u, PIXELS, names[row])
    known, number = micrographs.look_up(torch.tensor([12, 6, 7_000_000_000, 5]))
    assert known.tolist() == [True, False, True, True]
    torch.testing.assert_close(number[:, 0], torch.tensor([-1.5, 0, 2.0, 0.5]), atol=0.25, rtol=0)
    nothing = no_modes(PIXELS).micrographs(u[:0], PIXELS, row[:0])
    assert not nothing.look_up(names)[0].any()


def test_expected_log_power_is_closer_to_the_truth_than_the_measured() -> None:
    truth = Modes(MEAN, WITHIN, BETWEEN[:, :0], SEPARATE)
    generator = _generator(7)
    true = truth.log_power(
        torch.randn(300, 2, generator=generator), torch.zeros(300, 0), torch.zeros(300, len(PIXELS))
    )
    u = true + _sampling_error(300, generator)
    expected = truth.expected(u, PIXELS)
    assert ((expected - true)[:, USED].square().mean()) < 0.3 * (u - true)[:, USED].square().mean()
    assert torch.equal(no_modes(PIXELS).expected(u, PIXELS), torch.zeros_like(u))


def test_one_image_varies_by_nothing() -> None:
    assert not fit_modes(torch.zeros(1, len(PIXELS)), PIXELS, torch.zeros(1, dtype=torch.int64)).varies
