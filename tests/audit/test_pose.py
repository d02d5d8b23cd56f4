"""Maps made of images, against the map that the images were made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cryoalign.audit.hypotheses.pose import views
from cryoalign.audit.transfer import Transfer, ctf_of
from cryoalign.particles import Particles
from cryoalign.physics.fourier import rfft2
from cryoalign.physics.reconstruction import reconstruct
from cryoalign.physics.rotation import euler_to_matrix
from tests.audit.known_pairs import BOX, PIXEL_SIZE, images, specimen


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


def test_the_map_comes_back(known: Particles) -> None:
    centred = replace(known, shift=known.shift * 0)
    spectra = rfft2(images(centred))
    rotations = euler_to_matrix(torch.from_numpy(known.angles)).float()
    transfer = ctf_of(centred, BOX, PIXEL_SIZE, Transfer(1))
    found = correlation(reconstruct(spectra, transfer, rotations), specimen())
    assert found > 0.9
    mirrored = reconstruct(spectra, transfer, rotations).flip(0).roll(1, 0)
    assert correlation(mirrored, specimen()) < 0.6
    assert correlation(reconstruct(spectra, transfer, rotations.mT), specimen()) < 0.6


def test_images_are_predicted_from_others(known: Particles) -> None:
    centred = replace(known, shift=known.shift * 0)
    spectra = rfft2(images(centred))
    rotations = euler_to_matrix(torch.from_numpy(known.angles)).float()
    transfer = ctf_of(centred, BOX, PIXEL_SIZE, Transfer(1))
    predicted = views(spectra, transfer, rotations, rotations) * transfer
    cross = (predicted.conj() * spectra).real.sum((-2, -1))
    norm = (predicted.abs().square().sum((-2, -1)) * spectra.abs().square().sum((-2, -1))).sqrt()
    assert float((cross / norm).median()) > 0.9
