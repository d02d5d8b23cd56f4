"""Local projection matching, where orientation and place are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cryoalign.physics.alignment import Search, align
from cryoalign.physics.fourier import rfft2, shift
from cryoalign.physics.projection import Projector
from cryoalign.physics.rotation import angular_distance, euler_to_matrix, rotation_vector_to_matrix
from tests.audit.known_pairs import BOX, particles, specimen

COUNT = 24
EVEN = torch.ones(1, BOX, BOX // 2 + 1)


@pytest.fixture(scope="module")
def projector() -> Projector:
    return Projector(specimen(), 2.0, box=BOX)


@pytest.fixture(scope="module")
def rotations() -> torch.Tensor:
    return euler_to_matrix(torch.from_numpy(particles(COUNT).angles)).float()


@pytest.fixture(scope="module")
def transfers() -> torch.Tensor:
    radius = torch.hypot(torch.fft.fftfreq(BOX)[:, None], torch.fft.rfftfreq(BOX)[None])
    return torch.sin(0.1 + torch.linspace(20, 40, COUNT)[:, None, None] * radius.square() * 4)


@pytest.fixture(scope="module")
def images(projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor) -> torch.Tensor:
    return (projector.slices(rotations) * transfers)[:, None]


def turned(rotations: torch.Tensor, axes: torch.Tensor, degrees: float) -> torch.Tensor:
    unit = torch.nn.functional.normalize(axes, dim=1)
    return rotations @ rotation_vector_to_matrix(unit * math.radians(degrees)).float()


def noise(count: int, seed: int) -> torch.Tensor:
    return rfft2(torch.randn(count, 1, BOX, BOX, generator=torch.Generator().manual_seed(seed)))


def test_given_poses_are_confirmed(
    projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor, images: torch.Tensor
) -> None:
    found = align(projector, images, transfers=transfers, weights=EVEN, rotations=rotations)
    assert float(found.angle.max()) < 1.5
    assert float(found.shift.abs().max()) <= 0.125
    assert float(found.score.min()) > 0.99
    # The given pose is no point of the grid, which would be to its advantage.
    assert float(found.angle.median()) > 0.1


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_rotations_by_fifteen_degrees_are_found(
    rotations: torch.Tensor, transfers: torch.Tensor, ratio: float
) -> None:
    """Whatever the voxels are: here the map is sampled as finely as the images, or 1.5 times."""
    axis = torch.arange(48) - 24
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).float() / ratio
    rng = np.random.default_rng(3)
    places = torch.from_numpy(rng.uniform(-6, 6, (14, 3)))
    volume = sum(
        torch.exp(-(grid - place[:, None, None, None]).square().sum(0) / 3.0) for place in places.float()
    )
    projector = Projector(volume, 2.0, box=BOX)
    images = (projector.slices(rotations, ratio) * transfers)[:, None]
    axes = torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(2))
    off = turned(rotations, axes, 15)
    found = align(
        projector, images, transfers=transfers, weights=EVEN, rotations=off, pixel_ratio=ratio, seed=1
    )
    assert float(found.angle.median()) == pytest.approx(15, abs=0.5)
    error = angular_distance(found.rotations[:, 0], rotations)
    assert float(error.median()) < 0.8
    assert float(error.max()) < 2.5


def test_parts_of_a_rotation(
    projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor, images: torch.Tensor
) -> None:
    """What the image has to be turned by: the poses that were given are off by as much the other way."""
    beam, across = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    settings = {"transfers": transfers, "weights": EVEN}
    found = align(projector, images, rotations=turned(rotations, beam, -12), **settings)
    assert float(found.turn.median()) == pytest.approx(12, abs=0.5)
    assert float(found.tilt.median()) < 1
    found = align(projector, images, rotations=turned(rotations, across, -12), **settings)
    assert float(found.tilt.median()) == pytest.approx(12, abs=0.5)
    assert float(found.turn.abs().median()) < 1


def test_shifts_are_found_with_the_rotation(
    projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor, images: torch.Tensor
) -> None:
    moved = shift(images, torch.tensor([1.25, -2.5]).expand(COUNT, 1, -1), BOX)
    off = turned(rotations, torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(4)), 8)
    found = align(projector, moved, transfers=transfers, weights=EVEN, rotations=off)
    assert found.shift.flatten(0, 1).median(0).values.tolist() == pytest.approx([1.25, -2.5], abs=0.13)
    assert float(found.angle.median()) == pytest.approx(8, abs=0.5)


def test_noise_finds_no_pose(
    projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor, images: torch.Tensor
) -> None:
    """Kinds of images do not disturb each other: beside noise the image itself is found as before."""
    both = torch.cat([noise(COUNT, 5), images], 1)
    found = align(projector, both, transfers=transfers, weights=EVEN.expand(2, -1, -1), rotations=rotations)
    alone = align(projector, images, transfers=transfers, weights=EVEN, rotations=rotations)
    assert float(found.angle[:, 0].median()) > 15
    assert int((found.angle[:, 0] < 5).sum()) <= 2
    torch.testing.assert_close(found.rotations[:, 1:], alone.rotations)


def test_weights_hide_bad_frequencies(
    projector: Projector, rotations: torch.Tensor, transfers: torch.Tensor, images: torch.Tensor
) -> None:
    """Noise that drowns the upper rings, weighted evenly and by its power."""
    radius = torch.hypot(torch.fft.fftfreq(BOX)[:, None], torch.fft.rfftfreq(BOX)[None])
    loud = torch.where(radius > 0.3, 40.0, 2.0) * float(images.abs().mean()) / BOX
    noisy = images + noise(COUNT, 6) * loud
    settings = {"transfers": transfers, "rotations": rotations, "search": Search(radius=18)}
    even = align(projector, noisy, weights=EVEN, **settings).angle.median()
    wise = align(projector, noisy, weights=(1 / loud.square())[None], **settings).angle.median()
    assert float(wise) < 0.5 * float(even)
