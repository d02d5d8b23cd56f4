"""Baselines find the filter and the noise that pairs were made with, and make noise of just that power."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.models.baseline import Batch
from cryoalign.models.baselines import Identity, Spectral, WhiteNoise
from cryoalign.models.generator import Generator
from cryoalign.models.ring_fit import Knots, at_defocus
from cryoalign.physics.half_plane import half_plane

BOX = 16
COUNT = 480


def radius(box: int) -> np.ndarray:
    """(N, N) radius of each pixel of the full plane in index units, by numpy."""
    axis = np.fft.fftfreq(box, 1 / box)
    return np.hypot(axis[:, None], axis[None])


def gain_of(k: np.ndarray, box: int = BOX) -> np.ndarray:
    return 0.5 * np.exp(-((k / (0.4 * box)) ** 2))


def power_of(k: np.ndarray, box: int = BOX) -> np.ndarray:
    """It rises into the corners, so that they cannot be forgotten."""
    return 0.5 + 3 * (k / box) ** 2


def coloured(white: np.ndarray, power: np.ndarray) -> np.ndarray:
    return np.fft.ifft2(np.fft.fft2(white) * np.sqrt(power)).real


def pairs(
    count: int = COUNT, box: int = BOX, *, level: np.ndarray | float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """sim of random grey values, and raw by the model with `level` times the noise power."""
    rng = np.random.default_rng(seed)
    k = radius(box).round()  # constant on rings
    sim, white = rng.normal(size=(2, count, box, box))
    noise = coloured(white, power_of(k, box)) * np.sqrt(np.reshape(level, (-1, 1, 1)))
    return sim, coloured(sim, gain_of(k, box) ** 2) + noise


def batches(sim: np.ndarray, raw: np.ndarray, defocus: object = 1e4, groups: int = 16) -> list[Batch]:
    """In uneven batches; micrographs one after the other."""
    count = len(sim)
    images = [torch.from_numpy(stack.astype(np.float32))[:, None] for stack in (sim, raw)]
    focus = torch.from_numpy(np.broadcast_to(np.asarray(defocus, dtype=np.float32), count).copy())
    group = torch.arange(count) * groups // count
    return [
        (images[0][i : i + 37], images[1][i : i + 37], {"defocus": focus[i : i + 37]}, group[i : i + 37])
        for i in range(0, count, 37)
    ]


def fitted(made: list[Batch], box: int = BOX) -> Spectral:
    spectral = Spectral(box)
    spectral.fit(made)
    return spectral


def knots(spectral: Spectral) -> int:
    return int(spectral.defocus.isfinite().sum())


def draw(generator: Generator, sim: np.ndarray, number: int = 0, defocus: float = 1e4) -> np.ndarray:
    index = torch.arange(len(sim))
    fake = generator.generate(
        torch.from_numpy(sim.astype(np.float32))[:, None], seed=5, identity=index,
        draw=torch.full_like(index, number), metadata={"defocus": torch.full((len(sim),), defocus)},
    )  # fmt: skip
    return fake.squeeze(1).double().numpy()


@pytest.mark.parametrize("box", [16, 15])
def test_filter_and_noise_are_recovered(box: int) -> None:
    sim, raw = pairs(box=box)
    spectral = fitted(batches(sim, raw), box)
    assert knots(spectral) == 1
    assert float(spectral.defocus[0]) == 1e4
    k = np.arange(len(half_plane(box).pixels))
    members = COUNT * half_plane(box).pixels.numpy() / 2  # about so many independent complex numbers
    gain, power = gain_of(k, box), power_of(k, box)
    assert (np.abs(spectral.gain[0].numpy() - gain) < 5 * np.sqrt(power / (2 * members))).all()
    assert (np.abs(spectral.power[0].numpy() / power - 1) < 5 / np.sqrt(members)).all()


def test_fakes_have_raws_power_up_to_the_corners_and_its_variance() -> None:
    sim, raw = pairs()
    fake = draw(fitted(batches(sim, raw)), sim)
    ring = radius(BOX).round().astype(int)
    powers = []
    for images in (fake, raw):
        plane = np.square(np.abs(np.fft.fft2(images, norm="ortho"))).mean(0)
        powers.append(np.bincount(ring.ravel(), plane.ravel()) / np.bincount(ring.ravel()))
    np.testing.assert_allclose(powers[0], powers[1], rtol=0.25)  # the last ring holds 1 pixel of 480 images
    np.testing.assert_allclose(powers[0][1:9], powers[1][1:9], rtol=0.06)
    assert fake.var() == pytest.approx(raw.var(), rel=0.02)


def test_the_noise_does_not_depend_on_sim() -> None:
    sim, raw = pairs()
    spectral = fitted(batches(sim, raw))
    signal = coloured(sim, gain_of(radius(BOX).round()) ** 2)
    residual = draw(spectral, sim) - signal
    assert abs(np.corrcoef(residual.ravel(), signal.ravel())[0, 1]) < 0.03
    np.testing.assert_allclose(draw(spectral, 0 * sim), residual, atol=0.12)


def test_draws_differ_and_can_be_made_again() -> None:
    sim, raw = pairs()
    spectral = fitted(batches(sim, raw))
    first, again, second = draw(spectral, sim), draw(spectral, sim), draw(spectral, sim, number=1)
    np.testing.assert_array_equal(first, again)
    signal = draw(spectral, sim) - draw(spectral, 0 * sim)
    assert abs(np.corrcoef((first - signal).ravel(), (second - signal).ravel())[0, 1]) < 0.02


def test_the_mean_grey_value_has_an_offset_of_its_own() -> None:
    sim, raw = pairs()
    spectral = fitted(batches(sim, raw + 3))
    assert draw(spectral, sim).mean() == pytest.approx(3, abs=0.01)


def test_a_mean_of_sim_that_is_rounding_alone_tells_no_gain() -> None:
    sim, raw = pairs()
    sim -= sim.mean((1, 2), keepdims=True)
    spectral = fitted(batches(sim, raw))
    assert float(spectral.gain[0, 0]) == 0
    assert draw(spectral, sim + 1).mean() == pytest.approx(0, abs=0.01)


def test_noise_that_depends_on_defocus_is_fitted_by_defocus() -> None:
    defocus = np.tile(np.linspace(8e3, 24e3, COUNT // 16), 16)
    sim, raw = pairs(level=defocus / 8e3)
    spectral = fitted(batches(sim, raw, defocus))
    assert knots(spectral) > 1
    for at in (1e4, 1.6e4, 2.2e4):
        expected = np.mean(power_of(radius(BOX).round())) * at / 8e3
        assert draw(spectral, 0 * sim, defocus=at).var() == pytest.approx(expected, rel=0.06)


def test_noise_that_does_not_depend_on_defocus_gets_one_spectrum() -> None:
    defocus = np.tile(np.linspace(8e3, 24e3, COUNT // 16), 16)
    assert all(knots(fitted(batches(*pairs(seed=seed), defocus))) == 1 for seed in range(4))


def test_micrographs_that_differ_by_chance_are_no_reason_for_bins() -> None:
    """Each of 16 micrographs has its own defocus and its own noise; the one tells nothing of the other."""
    rng = np.random.default_rng(1)
    for seed in range(4):
        level, defocus = (
            np.repeat(values, COUNT // 16)
            for values in (rng.lognormal(0, 0.3, 16), rng.uniform(8e3, 24e3, 16))
        )
        assert knots(fitted(batches(*pairs(level=level, seed=seed), defocus))) == 1


def test_a_lone_micrograph_gets_one_spectrum() -> None:
    defocus = np.linspace(8e3, 24e3, COUNT)
    assert knots(fitted(batches(*pairs(level=defocus / 8e3), defocus, groups=1))) == 1


def test_between_knots_it_is_interpolated_and_beyond_them_constant() -> None:
    table = torch.tensor([[1.0], [3.0], [3.0]])
    given = Knots(torch.tensor([1e4, 2e4, torch.inf]), table, 2 * table, table[:, 0])
    gain, power, offset = at_defocus(given, torch.tensor([0.0, 1e4, 1.25e4, 2e4, 9e4]))
    assert gain[:, 0].tolist() == [1, 1, 1.5, 3, 3]
    assert power[:, 0].tolist() == [2, 2, 3, 6, 6]
    assert offset.tolist() == [1, 1, 1.5, 3, 3]


def test_pairs_without_noise_and_rings_without_sim_give_finite_numbers() -> None:
    sim, _ = pairs(count=60)
    low = coloured(sim, (radius(BOX) < 5).astype(float))
    spectral = fitted(batches(low, 2 * low, np.tile(np.linspace(8e3, 24e3, 15), 4)))
    np.testing.assert_allclose(draw(spectral, low), 2 * low, atol=1e-3)
    assert (spectral.gain[0, 6:] == 0).all()


def test_white_noise_is_the_line_of_least_squares() -> None:
    sim, raw = pairs(count=100)
    baseline = WhiteNoise(BOX)
    baseline.fit(batches(sim, raw + 2))
    (slope, start), (left,), *_ = np.polyfit(sim.ravel(), raw.ravel() + 2, 1, full=True)
    found = [float(value) for value in (baseline.gain, baseline.offset, baseline.sigma)]
    assert found == pytest.approx([slope, start, np.sqrt(left / sim.size)], rel=1e-4)
    fake = draw(baseline, sim)
    assert (fake - slope * sim - start).std() == pytest.approx(found[2], rel=0.03)
    np.testing.assert_array_equal(fake, draw(baseline, sim))
    assert not np.array_equal(fake, draw(baseline, sim, number=1))


def test_identity_gives_sim() -> None:
    sim, _ = pairs(count=3)
    np.testing.assert_allclose(draw(Identity(BOX), sim), sim, atol=1e-6)
    np.testing.assert_allclose(draw(Identity(BOX, noise_channels=1), sim), sim, atol=1e-6)


@pytest.mark.parametrize("kind", [Spectral, WhiteNoise])
def test_misuse(kind: type[Spectral | WhiteNoise]) -> None:
    sim, raw = pairs(count=4)
    with pytest.raises(InputError, match="noise_channels"):
        kind(BOX, noise_channels=0)
    with pytest.raises(ValueError, match="fit"):
        draw(kind(BOX), sim)
    with pytest.raises(ValueError, match="no pairs"):
        kind(BOX).fit([])
    baseline = kind(BOX)
    baseline.fit(batches(sim, raw))
    with pytest.raises(ValueError, match="noise of shape"):
        baseline(torch.zeros(1, 1, BOX, BOX))


def test_spectral_wants_a_defocus() -> None:
    spectral = fitted(batches(*pairs(count=4)))
    image, row = torch.zeros(1, 1, BOX, BOX), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="defocus"):
        spectral.generate(image, seed=0, identity=row, draw=row)
    with pytest.raises(ValueError, match="defocus"):
        spectral(image, image)
