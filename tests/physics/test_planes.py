"""Planes beside the central slice, in closed form: a Gaussian's transform is a Gaussian at any height."""

from __future__ import annotations

import math

import pytest
import torch

from cryoalign.physics.fourier import frequency_grid
from cryoalign.physics.projection import Projector
from cryoalign.physics.rotation import euler_to_matrix

SIZE, WIDTH = 32, 2.0
PLACE = torch.tensor([3.0, -2.0, 4.0], dtype=torch.float64)  # x, y, z in voxels
ANGLES = torch.tensor([[20.0, 35, -50], [140, 100, 10]], dtype=torch.float64)
HEIGHTS = torch.tensor([-0.06, 0.0, 0.025], dtype=torch.float64)  # cycles per voxel


def gaussian() -> torch.Tensor:
    axis = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    x, y, z = (torch.exp(-((axis - place) ** 2) / (2 * WIDTH**2)) for place in PLACE)
    return (z[:, None, None] * y[:, None] * x).float()


@pytest.mark.parametrize("box", [32, 25])
@pytest.mark.parametrize("ratio", [1.0, 1.3])
def test_planes_are_those_of_the_transform(box: int, ratio: float) -> None:
    rotations = euler_to_matrix(ANGLES)
    matrix = torch.tensor([[1.03, 0.02], [-0.01, 0.98]], dtype=torch.float64)
    planes = Projector(gaussian(), 4.0, box=box).planes(rotations, HEIGHTS, ratio, matrix.expand(2, 2, 2))

    ky, kx = frequency_grid(box, dtype=torch.float64)
    inside = torch.hypot(ky, kx) <= (box // 2) / box
    flat = matrix @ torch.stack(torch.broadcast_tensors(kx, ky)).flatten(1) / ratio
    points = torch.cat([flat.expand(3, -1, -1), HEIGHTS[:, None, None].expand(-1, 1, flat.shape[1])], 1)
    points = rotations[:, None] @ points  # (B, J, 3, S)
    amplitude = (2 * math.pi * WIDTH**2) ** 1.5 * torch.exp(
        -2 * math.pi**2 * WIDTH**2 * points.square().sum(2)
    )
    truth = torch.polar(amplitude, -2 * math.pi * torch.einsum("bjcs,c->bjs", points, PLACE)) / ratio**3
    truth = truth.reshape(planes.shape) * inside
    assert torch.linalg.norm(planes - truth) < 0.01 * torch.linalg.norm(truth)


def test_the_plane_at_height_zero_is_the_central_slice() -> None:
    projector, rotations = Projector(gaussian()), euler_to_matrix(ANGLES)
    planes = projector.planes(rotations, HEIGHTS)
    assert torch.allclose(planes[:, 1], projector.slices(rotations), atol=1e-4)
    assert not torch.allclose(planes[:, 2], projector.slices(rotations), atol=1)
