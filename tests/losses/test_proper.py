"""The scores of two draws: least for the distribution of raw, and which fault each of them sees."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cryoalign.losses.adversarial import LeastSquares
from cryoalign.losses.band_content import BandContent
from cryoalign.losses.band_energy import BandEnergy
from cryoalign.losses.bands import WhitenedBands
from cryoalign.losses.curve_energy import CurveEnergy
from cryoalign.losses.objective import Objective
from cryoalign.losses.score import Score
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.ring_filter import filter_rings, ring_power
from cryoalign.physics.spectrum import radial_log_power

BOX, BATCH, BATCHES = 16, 150, 16
Maker = Callable[[Tensor, torch.Generator], Tensor]


def energy() -> Score:
    return BandEnergy(bands=3)


def content() -> Score:
    return BandContent(bands=3)


SCORES: list[Callable[[], Score]] = [energy, content, CurveEnergy]


def noise(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=random)


def scaled(content: float = 1.0, grain: float = 1.0) -> Maker:
    return lambda sim, random: content * sim + grain * noise(sim, random)


truth = scaled()


def waves(sim: Tensor, random: torch.Generator) -> Tensor:
    """The sim, and one wave of random amplitude and phase in each band instead of noise."""
    ring, weight = half_plane(BOX).ring, half_plane(BOX).weight
    place = torch.arange(BOX) * (2 * torch.pi / BOX)
    fake = sim.clone()
    for lower, upper, wave in ((0, 2, (0, 1)), (2, 4, (0, 3)), (4, BOX, (6, 7))):
        power = float(weight[(ring >= lower) & (ring < upper)].sum()) / BOX**2  # of white noise in this band
        phase = wave[0] * place[:, None] + wave[1] * place
        x = torch.randn(2, len(sim), 1, 1, 1, generator=random) * power**0.5
        fake = fake + x[0] * phase.cos() + x[1] * phase.sin()
    return fake


def pure(sim: Tensor, random: torch.Generator) -> Tensor:
    return noise(sim, random)


def coupled(sim: Tensor, random: torch.Generator) -> Tensor:
    """Noise whose bands move together: a frequency k of the middle band sets the phase of 2 k."""
    spectra = torch.fft.rfft2(noise(sim, random))
    y, x = torch.nonzero((half_plane(BOX).ring >= 2) & (half_plane(BOX).ring < 4), as_tuple=True)
    twice = (2 * y) % BOX, 2 * x
    phases = 2 * spectra[..., y, x].angle()
    spectra[..., twice[0], twice[1]] = torch.polar(spectra[..., twice[0], twice[1]].abs(), phases)
    return torch.fft.irfft2(spectra, s=(BOX, BOX))


def elsewhere(sim: Tensor, random: torch.Generator) -> Tensor:
    """The sim at another place in the image."""
    return sim.roll(BOX // 2, -1) + noise(sim, random)


def excess(score: Score, fault: Maker, right: Maker = truth, size: int = BATCH) -> tuple[float, float]:
    """Mean of the score of a fault less that of the right fakes, and its standard error."""
    random = torch.Generator().manual_seed(1)
    calibration = torch.randn(2000, 1, BOX, BOX, generator=random)
    score.fit(right(torch.randn(calibration.shape, generator=random), random))
    differences = []
    for number in range(BATCHES):
        sim = torch.randn(size, 1, BOX, BOX, generator=random)
        raw = right(sim, random)
        values = []
        for maker in (fault, right):
            same = torch.Generator().manual_seed(
                100 + number
            )  # common random numbers: small differences show
            values.append(score(maker(sim, same), raw, maker(sim, same)))
        differences.append(values[0] - values[1])
    found = torch.stack(differences).double()
    return float(found.mean()), float(found.std() / BATCHES**0.5)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        *((make, scaled(grain=factor)) for make in (energy, CurveEnergy) for factor in (0.8, 1.25)),
        *((make, scaled(content=factor)) for make in (energy, content) for factor in (0.9, 1.1)),
        (CurveEnergy, waves),
        (energy, elsewhere),
        (content, elsewhere),
    ],
)
def test_the_right_distribution_scores_best(make: Callable[[], Score], fault: Maker) -> None:
    mean, error = excess(make(), fault)
    assert mean > 5 * error


@pytest.mark.parametrize(
    ("make", "fault", "right"),
    [
        (energy, waves, truth),
        (energy, coupled, pure),
        (CurveEnergy, coupled, pure),
        (CurveEnergy, elsewhere, truth),
        (content, scaled(grain=0.8), truth),
        (content, scaled(grain=1.25), truth),
        (content, waves, truth),
    ],
)
def test_what_a_score_does_not_see(make: Callable[[], Score], fault: Maker, right: Maker) -> None:
    mean, error = excess(make(), fault, right)
    assert abs(mean) < 3 * error
    assert abs(mean) < 5e-3


def test_phases_between_bands_are_there_to_be_seen() -> None:
    """What no score of these sees, a product of two frequencies does."""
    random = torch.Generator().manual_seed(0)
    sim = torch.zeros(500, 1, BOX, BOX)
    means = []
    for maker in (coupled, pure):
        spectra = torch.fft.rfft2(maker(sim, random))[:, 0]
        means.append(float((spectra[:, 0, 2] ** 2 * spectra[:, 0, 4].conj()).real.mean() / BOX**3))
    assert means[0] > 0.7  # of sqrt(pi) / 2
    assert abs(means[1]) < 0.2


def test_phases_are_seen_by_pixels_where_they_make_their_grey_values() -> None:
    """Points have the spectrum of noise of random phases, but other pixels."""

    def points(sim: Tensor, random: torch.Generator) -> Tensor:
        image = torch.zeros_like(sim)
        places = torch.randint(BOX, (2, len(sim)), generator=random)
        image[torch.arange(len(sim)), 0, places[0], places[1]] = BOX * (
            1 + torch.rand(len(sim), generator=random)
        )
        return image

    def scrambled(sim: Tensor, random: torch.Generator) -> Tensor:
        spectra, phases = (torch.fft.rfft2(i) for i in (points(sim, random), noise(sim, random)))
        return torch.fft.irfft2(torch.polar(spectra.abs(), phases.angle()), s=(BOX, BOX))

    mean, error = excess(energy(), scrambled, points)
    assert mean > 5 * error
    mean, error = excess(CurveEnergy(), scrambled, points)
    assert abs(mean) < 3 * error


def test_only_the_vector_sees_which_rings_rise_together() -> None:
    def together(sim: Tensor, random: torch.Generator) -> Tensor:
        return torch.randn(len(sim), 1, 1, 1, generator=random).exp() * noise(sim, random)

    def each_for_itself(sim: Tensor, random: torch.Generator) -> Tensor:
        factors = torch.randn(len(sim), 1, len(half_plane(BOX).pixels), generator=random).exp()
        return filter_rings(noise(sim, random), factors)

    mean, error = excess(CurveEnergy(distance="vector"), each_for_itself, together, 2000)
    assert mean > 5 * error
    mean, error = excess(CurveEnergy(distance="ring"), each_for_itself, together)
    assert abs(mean) < 3 * error


def test_bands_of_raw_are_white_and_of_unit_power_and_add_up_to_all_rings() -> None:
    random = torch.Generator().manual_seed(0)
    raw = torch.nn.functional.avg_pool2d(torch.randn(400, 1, 34, 34, generator=random), 3, 1)
    bands = WhitenedBands(4, "bands")
    bands.fit(raw)
    seen = bands(raw)
    torch.testing.assert_close(seen.square().mean((1, 2, 3, 4)), torch.ones(4), rtol=1e-3, atol=0)
    power = ring_power(seen).mean((1, 2))
    assert ((power > 1e-6).sum(0) == 1).all()  # each ring in one band
    for row in power:
        inside = row[row > 1e-6]
        torch.testing.assert_close(inside, inside.mean().expand_as(inside), rtol=1e-3, atol=0)


@pytest.mark.parametrize("make", SCORES)
def test_gradcheck(make: Callable[[], Score]) -> None:
    random = torch.Generator().manual_seed(0)
    raw, fake, second = torch.randn(3, 3, 1, 9, 9, dtype=torch.float64, generator=random)
    score = make()
    score.fit(raw)

    def of(fake: Tensor, second: Tensor) -> Tensor:
        return score(fake, raw, second)

    assert torch.autograd.gradcheck(of, (fake.requires_grad_(), second.requires_grad_()))


@pytest.mark.parametrize("make", SCORES)
def test_what_comes_first_is_asked_for(make: Callable[[], Score]) -> None:
    images = torch.randn(3, 1, BOX, BOX)
    with pytest.raises(ValueError, match=r"fit\(\) comes first"):
        make()(images, images, images)
    score = make()
    score.fit(images)
    with pytest.raises(ValueError, match="but one came"):
        score(images, images)
    assert not score.state_dict()


def test_curves_are_in_units_of_raws_spread() -> None:
    raw = torch.randn(50, 1, BOX, BOX, generator=torch.Generator().manual_seed(0))
    score = CurveEnergy(distance="ring")
    score.fit(raw)
    first, second = raw[:25], raw[25:]
    spread = radial_log_power(raw).flatten(0, 1).std(0)
    a, b = (radial_log_power(images) / spread for images in (first, second))
    expected = (a - b).abs().mean() - 0.5 * (a - a).abs().mean()
    torch.testing.assert_close(score(first, second, first), expected)


def test_an_objective_asks_for_a_second_draw_only_where_a_score_compares_two() -> None:
    weights = {"gan": 0.0, "energy": 0.0, "rpsd": 1.0}
    objective = Objective(LeastSquares(), weights, energy=BandEnergy())
    assert not objective.needs_second()
    assert objective.needs_second(every=True)
    assert objective.needs_fit
    assert objective.titles == {"gan": "GAN", "energy": "energy", "rpsd": "RPSD"}
    paired = Objective(LeastSquares())
    assert not paired.needs_second(every=True)
    assert not paired.needs_fit
