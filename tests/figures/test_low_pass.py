"""Smoothing that makes a particle visible: it keeps what is coarse, drops what is fine, and does not ring."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.figures.low_pass import low_pass, visible_resolution

BOX, PIXEL_SIZE = 64, 3.54


def wave(period: float) -> np.ndarray:
    """A wave along x of so many pixels a period."""
    return np.broadcast_to(np.cos(2 * np.pi * np.arange(BOX) / period), (BOX, BOX))


@pytest.mark.parametrize(("pixel_size", "resolution"), [(0.885, 20), (3.54, 20), (5, 20), (7.08, 28.32)])
def test_the_resolution_is_the_coarser_of_20_a_and_4_pixels(pixel_size, resolution):
    assert visible_resolution(pixel_size) == pytest.approx(resolution)


@pytest.mark.parametrize(("period", "factor"), [(64, 0.995), (4, 0.5), (2, 1 / 16)])
def test_waves_pass_by_their_length(period, factor):
    image = wave(period)
    smooth = low_pass(image, 5.0)  # to 4 pixels
    np.testing.assert_allclose(smooth, factor * image, atol=0.005)


def test_nothing_rings_and_the_mean_stays():
    disc = np.zeros((BOX, BOX))
    disc[24:40, 24:40] = 1
    smooth = low_pass(np.stack([disc, 1 - disc]), PIXEL_SIZE)
    assert smooth.min() > -1e-3
    assert smooth.max() < 1 + 1e-3
    np.testing.assert_allclose(smooth.mean(axis=(1, 2)), [disc.mean(), 1 - disc.mean()])
    assert smooth[0, 32, 32] > 0.99  # in its place


def test_other_boxes_and_values_that_are_no_numbers():
    assert low_pass(np.ones((2, 33, 33), dtype=np.float32), 1.0) == pytest.approx(1)
    assert np.isnan(low_pass(np.full((4, 4), np.nan), 1.0)).all()


def test_what_it_is_given_stays_as_it_is():
    image = wave(3).copy()
    low_pass(image, PIXEL_SIZE)
    np.testing.assert_array_equal(image, wave(3))
