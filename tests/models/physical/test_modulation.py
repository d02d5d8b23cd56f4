"""Noise that a known field makes stronger in places, by NumPy; even noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoalign.models.physical.generator import Physical
from cryoalign.models.physical.modulation import ModulationSums, modulated, reach
from cryoalign.physics.half_plane import half_plane
from tests.models.physical.drawn import Drawn

BOX, COUNT = 48, 480
RINGS = half_plane(BOX)
POWER = np.zeros(len(RINGS.pixels))
POWER[1:5] = (6.0, 3.0, 1.5, 1.0)
SPREAD = math.sqrt(float((POWER[RINGS.ring] * RINGS.weight.numpy()).sum()) / BOX**2)  # of the field


def fields(seed: int = 1) -> np.ndarray:
    """(COUNT, BOX, BOX): what the noise is multiplied by."""
    white = np.random.default_rng(seed).normal(size=(COUNT, BOX, BOX))
    spectra = np.sqrt(POWER[RINGS.ring]) * np.fft.rfft2(white)
    return np.exp(np.fft.irfft2(spectra, (BOX, BOX)) - SPREAD**2)


def spectra_of(images: np.ndarray) -> torch.Tensor:
    return torch.fft.rfft2(torch.from_numpy(images).float(), norm="ortho")


def sums_of(images: np.ndarray, groups: int = 16) -> ModulationSums:
    sums = ModulationSums(BOX)
    for rows in np.array_split(np.arange(COUNT), 7):
        spectra = spectra_of(images[rows])
        sums.add(spectra, torch.ones(spectra.shape), torch.from_numpy(rows) * groups // COUNT)
    return sums


def unevenness(images: np.ndarray) -> float:
    """Standard deviation of the local variance, of squares smoothed over an eighth of the box."""
    along = np.fft.fftfreq(BOX)
    low = np.hypot(along[:, None], along[: BOX // 2 + 1]) < 4 / BOX
    square = np.square(images) / np.square(images).mean((1, 2), keepdims=True)
    return float(np.fft.irfft2(np.fft.rfft2(square) * low, (BOX, BOX)).std((1, 2)).mean())


def test_the_field_comes_back() -> None:
    noise = np.random.default_rng(0).normal(size=(COUNT, BOX, BOX)) * fields()
    power, verdict = sums_of(noise).fit("auto")
    assert verdict.kept
    assert verdict.nats > 10 * verdict.error
    pixels = RINGS.pixels.numpy()
    low = slice(1, reach(BOX) + 1)
    error = (2 + 4 * POWER[low]) / 4 / np.sqrt(COUNT * pixels[low] / 2)
    # 1 + 2 g + 2 g^2 has more than 4 S, by about as much as g spreads
    assert np.all(np.abs(power.numpy()[low] - POWER[low]) < 4 * error + 3 * SPREAD**2 * POWER[low] + 0.1)
    assert not power[reach(BOX) + 1 :].any()


@pytest.mark.parametrize("seed", range(4))
def test_even_noise_has_none(seed: int) -> None:
    white = np.random.default_rng(seed).normal(size=(COUNT, BOX, BOX))
    power, verdict = sums_of(white).fit("auto")
    assert not verdict.kept
    assert not power.any()
    assert not sums_of(white, groups=2).fit("auto")[1].kept


def test_modulated_noise_has_the_power_and_the_unevenness_that_are_wanted() -> None:
    rng = np.random.default_rng(2)
    even = rng.normal(size=(COUNT, BOX, BOX))
    maps = torch.from_numpy(rng.normal(size=(COUNT, BOX, BOX))).float()
    made = modulated(torch.from_numpy(even).float(), torch.from_numpy(POWER).float(), maps).numpy()
    assert np.square(made).mean() == pytest.approx(1, abs=0.02)
    assert unevenness(made) == pytest.approx(unevenness(even * fields()), rel=0.03)
    assert unevenness(made) > 1.5 * unevenness(even)


def test_fakes_are_as_uneven_as_raw() -> None:
    drawn = Drawn(box=BOX, count=COUNT, following=0.0)
    field = torch.from_numpy(fields()).float()[:, None]
    batches, first = [], 0
    for sim, raw, metadata, group in drawn.batches():
        batches.append((sim, sim + (raw - sim) * field[first : first + len(sim)], metadata, group))
        first += len(sim)
    for setting in ("auto", False):
        generator = Physical(BOX, modulation=setting)
        generator.fit(batches)
        assert generator.verdict("modulation").kept == (setting == "auto")
        fakes, first = [], 0
        for sim, _, metadata, _ in batches:
            index = first + torch.arange(len(sim))
            fakes.append(generator.generate(sim, seed=1, identity=index, draw=0 * index, metadata=metadata))
            first += len(sim)
        fake, raw = (
            torch.cat(images)[:, 0].double().numpy() for images in (fakes, [batch[1] for batch in batches])
        )
        if setting == "auto":
            assert unevenness(fake) == pytest.approx(unevenness(raw), rel=0.1)
        else:
            assert unevenness(fake) < 0.8 * unevenness(raw)
