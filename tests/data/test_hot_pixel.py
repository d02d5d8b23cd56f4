"""A pixel that outweighs its image is found; what cameras and simulations show is not."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.data.hot_pixel import hot_pixel

NOISE = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)


def with_pixel(value: float, rest: np.ndarray = NOISE) -> np.ndarray:
    image = rest.astype(np.float64)
    image[4, 5] = value
    return image


@pytest.mark.parametrize("value", [1e30, -1e30, 1e200, 2000.0])
def test_it_is_named_by_its_place(value: float) -> None:
    found = hot_pixel(with_pixel(value))
    assert found is not None
    assert f"a pixel of {value:.4g} at x 5, y 4" in found


@pytest.mark.parametrize(
    "image",
    [
        NOISE,
        NOISE * np.float32(1e37),
        NOISE + 1e4,
        with_pixel(100.0),
        with_pixel(1.0, np.zeros((32, 32))),
        np.ones((32, 32)),
    ],
)
def test_what_is_usual_passes(image: np.ndarray) -> None:
    """Also an X-ray of 100 standard deviations, and a simulation of a point."""
    assert hot_pixel(image) is None
