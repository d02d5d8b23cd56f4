"""Views of a reference at a small box, against the simulator's images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoalign.evaluate.measures.reference import (
    Views,
    centred_spectra,
    reference_for,
    reference_of,
    whitening,
)
from cryoalign.physics.fourier import irfft2
from cryoalign.physics.half_plane import rings_and_corner
from cryoalign.physics.spectrum import ring_mean
from cryoalign.simulate.weak_phase import WeakPhase
from tests.audit.known_pairs import BOX, PIXEL_SIZE, particles, specimen
from tests.fakes.blobs import case, noise, views

ROWS = np.arange(20)


@pytest.mark.parametrize("box", [BOX, 24])
@pytest.mark.parametrize(
    "optics", [{}, {"premultiplied": True}, {"magnification": (1.03, 0.01, 0.01, 0.98)}], ids=str
)
def test_views_are_what_the_simulator_makes(box: int, optics: dict[str, object]) -> None:
    table = particles(20)
    table = replace(table, optics=(replace(table.optics[0], **optics),))
    images = WeakPhase(specimen(), pixel_size=PIXEL_SIZE, box=BOX)(table)
    pixel_size = PIXEL_SIZE * BOX / box
    seen = Views.of(table, ROWS, box, pixel_size)
    spectra = centred_spectra(lambda rows: images[rows], ROWS, seen)
    expected = reference_of(specimen(), PIXEL_SIZE, box, pixel_size).projections(seen)
    # Line integrals in units of the pixel: a coarser pixel holds a smaller number of a larger area.
    inside = rings_and_corner(box) < box // 2
    ratio = (spectra * expected.conj()).real[:, inside].sum() / expected.abs().square()[:, inside].sum()
    residual = (spectra - ratio * expected)[:, inside].abs().square().sum()
    assert float(residual / spectra[:, inside].abs().square().sum()) < 2e-3
    shapes = (seen.part(5, 9).transfers.shape, seen.part(5, 9).rotations.shape)
    assert shapes == ((4, box, box // 2 + 1), (4, 3, 3))


def test_a_map_is_made_of_sims_where_none_is_given() -> None:
    table = particles()
    given = case(table, views(table))
    reference = reference_for(given, BOX, 120)
    assert reference.made_of == "a map made of 120 sims"
    seen = Views.of(table, np.arange(120, 150), BOX, PIXEL_SIZE)
    predicted = irfft2(reference.projections(seen), BOX)
    true = irfft2(reference_of(specimen(), PIXEL_SIZE, BOX, PIXEL_SIZE).projections(seen), BOX)
    assert float(np.corrcoef(predicted.flatten(), true.flatten())[0, 1]) > 0.97


def test_whitened_noise_is_white() -> None:
    spectra = torch.fft.rfft2(noise(50, 1)) * (1 + rings_and_corner(BOX)).sqrt()
    weight = whitening(spectra)
    power = ring_mean(spectra.abs().square() * weight, BOX).mean(0)
    torch.testing.assert_close(power[1:], torch.ones(BOX // 2), atol=0.06, rtol=0)
    assert float(weight[0, 0]) == 0
    assert float(weight[BOX // 2, BOX // 2]) == 0  # a corner
    # What is empty is not lifted without bounds.
    silent = whitening(lower_half(spectra))
    assert float(silent.max()) < 1e3 * float(weight.max())


def lower_half(spectra: torch.Tensor) -> torch.Tensor:
    """Nothing in the upper half of the rings."""
    return spectra * (rings_and_corner(BOX) < BOX // 4)
