"""What simulated images really carry, read off the images alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.audit.transfer import Transfer, carried_shift, carried_transfer, ctf_of, undone
from cryoalign.particles import Particles
from cryoalign.physics.fourier import rfft2
from tests.audit.known_pairs import BOX, PIXEL_SIZE, images


def groups(table: Particles) -> np.ndarray:
    return np.unique(table.micrograph, return_inverse=True)[1]


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_the_defocus_that_was_used_is_found(known: Particles, scale: float) -> None:
    sims = images(replace(known, defocus=known.defocus * [scale, scale, 1]))
    candidates = [
        Transfer(1),
        *(Transfer(1, value) for value in (0.5, 0.8, 1.25, 2.0)),
        Transfer(0),
        Transfer(2),
    ]
    fits = carried_transfer(rfft2(sims), known, PIXEL_SIZE, candidates, groups(known))
    best = max(fits, key=lambda entry: fits[entry].likelihood)
    assert best == Transfer(1, scale)
    assert fits[best].gain.sigma > 8


def test_noise_in_simulated_images_does_not_hide_their_ctf(known: Particles) -> None:
    sims = images(known)
    noisy = sims + float(sims.std()) * torch.randn(sims.shape, generator=torch.Generator().manual_seed(0))
    fits = carried_transfer(rfft2(noisy), known, PIXEL_SIZE, [Transfer(1), Transfer(0)], groups(known))
    assert fits[Transfer(0)].gain.sigma < 4  # which is not decisive


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.25, 2.0, 4.0, 0.0])
def test_the_slope_of_the_shifts(known: Particles, factor: float) -> None:
    fit = carried_shift(rfft2(images(replace(known, shift=known.shift * factor))), known.shift / PIXEL_SIZE)
    assert fit is not None
    assert fit.error.max() < 0.1 + 0.02 * abs(factor)
    assert (np.abs(fit.slope - factor * np.eye(2)) < 4 * fit.error).all()


def test_inverted_contrast_moves_nothing(known: Particles, truth: torch.Tensor) -> None:
    claim = known.shift / PIXEL_SIZE
    found = [carried_shift(rfft2(values), claim) for values in (truth, -truth)]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_allclose(found[0].slope, found[1].slope, atol=1e-3)


def test_claims_that_do_not_vary_have_no_slope(known: Particles, truth: torch.Tensor) -> None:
    assert carried_shift(rfft2(truth), np.zeros((len(known), 2))) is None


def test_a_ctf_divided_out_leaves_one_where_it_is_large(known: Particles) -> None:
    once = ctf_of(known, BOX, PIXEL_SIZE, Transfer(1))
    left = once * undone(once, Transfer(1))
    assert left[once.abs() > 0.7].min() > 0.97
    assert left.min() >= 0
    assert left.max() <= 1
