"""Right pairs agree whatever made the simulated images: aberrations, a microscope, a map off its centre."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from cryoalign.audit.check import Evidence, check_pairs
from cryoalign.audit.verdict import conclude
from cryoalign.particles import Particles
from cryoalign.physics.rotation import euler_to_matrix
from cryoalign.simulate.detector import Counting
from cryoalign.simulate.exposure import Experiment
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.solvent import IceNoise
from cryoalign.simulate.weak_phase import WeakPhase
from tests.audit import known_pairs as made

GRID = {"pixel_size": made.PIXEL_SIZE, "box": made.BOX}
#: At 8 A, where the images end, each changes the phase by about half a radian; the matrix moves it by 2 %.
ABERRATIONS = [
    {"beam_tilt": (4.0, -3.0)},
    {"odd_zernike": (0.0, 0.0, 250.0, 0.0, 0.0, -250.0)},
    {"even_zernike": (0.0, 20.0, 0.0, -20.0, 1500.0, 0.0, 0.0, 0.0, 1500.0)},
    {"magnification": (1.02, 0.01, 0.01, 0.98)},
]


def of_all_groups(table: Particles, **values: Any) -> Particles:
    return replace(table, optics=tuple(replace(group, **values) for group in table.optics))


def agreed(evidence: Evidence) -> Evidence:
    found = conclude(evidence)
    assert found.outcome == "agree", found.line
    return evidence


@pytest.mark.parametrize("values", ABERRATIONS, ids=lambda values: next(iter(values)))
def test_aberrations(known: Particles, truth: torch.Tensor, values: dict[str, Any]) -> None:
    """As in raw, or left out of the simulation."""
    table = of_all_groups(known, **values)
    images = made.images(table)
    assert not torch.allclose(images, truth, atol=0.02 * float(truth.std()))
    evidence = agreed(check_pairs(made.pairs(images, images, table), poses=True))
    assert evidence.self_check.suspected == evidence.self_check.claimed
    left_out = replace(made.pairs(truth, images, table), sim=known, raw=known)
    agreed(check_pairs(left_out, poses=False))


def multislice() -> Multislice:
    return Multislice(made.specimen() * 3, **GRID)


def microscope() -> Experiment:
    """Ice of 400 A and 40 electrons per A^2."""
    ice = IceNoise(thickness=400.0)
    return Experiment(scattering=multislice(), solvent=ice, detector=Counting(dose=40.0), seed=3)


@pytest.mark.parametrize("simulator", [multislice, microscope])
def test_a_simulation_of_the_experiment(
    known: Particles, truth: torch.Tensor, simulator: Callable[[], Any]
) -> None:
    evidence = agreed(check_pairs(made.pairs(simulator()(known), truth, known), poses=True))
    assert evidence.given.correlation.sigma > 8


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_simulated_images_in_noise(known: Particles, truth: torch.Tensor, noise: float) -> None:
    """White noise speaks for no CTF, but raw does not."""
    level = noise * float(truth.std())
    sims = truth + level * torch.randn(truth.shape, generator=torch.Generator().manual_seed(9))
    agreed(check_pairs(made.pairs(sims, truth, known), poses=True))


def test_a_map_off_its_centre(known: Particles) -> None:
    """Picked by their centre of mass, particles have shifts that follow the pose, and content that stays."""
    offset = torch.tensor([7.0, -4.0, 5.0]).double() * made.PIXEL_SIZE
    seen = (euler_to_matrix(torch.from_numpy(known.angles)).mT @ offset)[:, :2].numpy()
    table = replace(known, shift=seen + 0.2 * known.shift)
    density = made.specimen().roll((5, -4, 7), (0, 1, 2))
    images = WeakPhase(density, **GRID)(table)
    evidence = agreed(check_pairs(made.pairs(images, images, table), poses=True))
    assert evidence.self_check.shift is not None
    assert (
        evidence.self_check.shift.off
    )  # the content does not follow the shifts, and raw confirms that it need not


def test_noise_that_interpolation_removes_names_no_pixel_size(known: Particles, truth: torch.Tensor) -> None:
    """Simulated images as noisy as measured ones, held against clean ones."""
    noisy = truth + 3 * float(truth.std()) * torch.randn(
        truth.shape, generator=torch.Generator().manual_seed(4)
    )
    sample = made.pairs(noisy, truth, known, noise=0.3)
    agreed(check_pairs(sample, poses=False))
