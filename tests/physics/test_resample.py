"""A map on another grid is the same density: held against its formula, and against a transform."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cryoalign.physics.fourier import fourier_resize_volume
from cryoalign.physics.resample import resample_volume

BLOBS = ((-3.0, 5.0, 8.0), (6.0, -2.0, 0.0))  # z, y, x in A


def density(box: int, pixel_size: float, sigma: float = 5.0) -> Tensor:
    axis = pixel_size * (torch.arange(box, dtype=torch.float64) - box // 2)
    total = torch.zeros(box, box, box, dtype=torch.float64)
    for weight, place in enumerate(BLOBS, start=1):
        z, y, x = (torch.exp(-((axis - at) ** 2) / (2 * sigma**2)) for at in place)
        total += weight * z[:, None, None] * y[:, None] * x
    return total


@pytest.mark.parametrize(
    ("box", "pixel_size", "new_box", "new"),
    [(40, 2.0, 33, 2.37), (33, 2.37, 40, 2.0), (40, 2.0, 48, 2.0), (41, 2.0, 36, 2.0), (40, 2.0, 27, 3.1)],
)
def test_it_is_the_density_on_the_new_grid(box: int, pixel_size: float, new_box: int, new: float) -> None:
    found = resample_volume(density(box, pixel_size), pixel_size, box=new_box, new_pixel_size=new)
    torch.testing.assert_close(found, density(new_box, new), atol=2e-5, rtol=0)


def test_it_is_the_transform_where_that_can_be() -> None:
    torch.manual_seed(0)
    rough = torch.randn(20, 20, 20, dtype=torch.float64)
    found = resample_volume(rough, 2.0, box=30, new_pixel_size=4 / 3)
    torch.testing.assert_close(found, fourier_resize_volume(rough, 30))


def test_nothing_is_repeated_beyond_the_box() -> None:
    found = resample_volume(density(24, 2.0), 2.0, box=48, new_pixel_size=2.0)
    torch.testing.assert_close(found[12:36, 12:36, 12:36], density(24, 2.0))
    found[12:36, 12:36, 12:36] = 0
    assert not found.any()
