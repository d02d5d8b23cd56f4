"""Grey values have the statistics that are promised, and every map can be undone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.data.normalize import GreyMap, Normalization
from cryoalign.errors import InputError
from cryoalign.physics.mask import background

BOX = 32


@pytest.fixture
def raws() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.normal(50 + i, 3 + i, (BOX, BOX))).astype(np.float32) for i in range(5)]


@pytest.fixture
def sims() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(rng.normal(-4, 0.1 * (i + 1), (BOX, BOX))).astype(np.float32) for i in range(5)]


def back(values: np.ndarray, used: GreyMap) -> np.ndarray:
    """Undo a map: what normalization.csv is written for."""
    return ((values + 1) / 2 * (used.high - used.low) + used.low) * used.scale + used.offset


def outside(radius: float) -> np.ndarray:
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return np.sqrt(x**2 + y**2) > radius * BOX / 2


def test_raw_background_has_mean_0_and_sd_1(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws, radius=0.7)
    raws[0][BOX // 2 - 3 : BOX // 2 + 3, BOX // 2 - 3 : BOX // 2 + 3] += 1000  # a particle must not count
    values, parameters = fitted.raw(raws[0])
    background = values[outside(0.7)]
    assert background.mean() == pytest.approx(0, abs=1e-5)
    assert background.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(back(values, parameters), raws[0], rtol=1e-5)


def test_sim_has_one_scale_for_the_whole_set(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws)
    whole = np.stack([fitted.sim(image)[0] for image in sims])
    assert whole.mean() == pytest.approx(0, abs=1e-5)
    assert whole.std() == pytest.approx(1, abs=1e-5)
    assert whole[4].std() / whole[0].std() == pytest.approx(5, rel=0.1)  # images keep their relative contrast


def test_minmax_and_back(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws, range="minmax")
    values, parameters = fitted.raw(raws[2])
    assert values.min() == -1
    assert values.max() == 1
    assert parameters.clipped == 0
    np.testing.assert_allclose(back(values, parameters), raws[2], rtol=1e-5)


def test_percentiles_clip_and_count(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws, range="percentiles", percentiles=(5, 95))
    values, parameters = fitted.raw(raws[1])
    assert np.abs(values).max() == 1
    assert parameters.clipped == pytest.approx(0.1, abs=0.005)


def test_a_fake_without_raw_gets_the_mean_range(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws, range="minmax")
    limits = np.array([fitted.raw(image)[1][2:4] for image in raws]).mean(axis=0)
    low, high = fitted.grey(np.array([[-1.0, 1.0]], dtype=np.float32))[0]
    assert [low, high] == pytest.approx(limits.tolist(), rel=1e-5)


def test_survives_json(sims: list[np.ndarray], raws: list[np.ndarray]) -> None:
    fitted = Normalization.fit(sims, raws, range="percentiles", percentiles=(1, 99))
    assert Normalization.from_state(json.loads(json.dumps(fitted.state()))) == fitted


@pytest.mark.parametrize(
    "settings",
    [
        {"range": "tanh"}, {"radius": 0.0}, {"radius": 1.2},
        {"range": "percentiles", "percentiles": (90, 10)},
        {"percentiles": [5]}, {"percentiles": (1, 2, 3)}, {"percentiles": ("low", "high")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Normalization(**settings)  # type: ignore[arg-type]


def test_a_masked_image_has_no_background(raws: list[np.ndarray]) -> None:
    image = raws[0].copy()
    image[background(len(image), 0.9)] = 0
    with pytest.raises(InputError, match="constant outside the particle's circle"):
        Normalization().raw(image)


def test_constant_sims_are_refused(raws: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match="constant"):
        Normalization.fit([np.ones((BOX, BOX), dtype=np.float32)], raws)
