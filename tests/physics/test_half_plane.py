"""Rings of the half plane against those of the whole plane, by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoalign.physics.half_plane import half_plane, product, rings_and_corner, squared
from cryoalign.physics.spectrum import ring_pixels, ring_sum


@pytest.mark.parametrize("box", [2, 3, 15, 16])
def test_rings_are_those_of_the_rpsd_and_go_on_into_the_corners(box: int) -> None:
    plane = half_plane(box)
    half = torch.rand(box, box // 2 + 1, dtype=torch.float64)
    sums = half.new_zeros(len(plane.pixels)).index_add(
        0, plane.ring.flatten(), (half * plane.weight).flatten()
    )
    torch.testing.assert_close(sums[: box // 2 + 1], ring_sum(half, box))
    axis = np.fft.fftfreq(box, 1 / box)
    whole = np.bincount(np.hypot(axis[:, None], axis[None]).round().astype(int).ravel())
    assert plane.pixels.tolist() == whole.tolist()
    assert ring_pixels(box).tolist() == whole[: box // 2 + 1].tolist()
    assert plane.pixels[0] == 1  # the mean grey value alone
    assert float(plane.weight.sum()) == box**2
    joined = rings_and_corner(box)
    assert (joined == plane.ring)[plane.ring <= box // 2].all()
    assert (joined[plane.ring > box // 2] == box // 2 + 1).all()


def test_products_are_those_of_complex_numbers() -> None:
    a, b = torch.randn(2, 5, 7, dtype=torch.complex128)
    torch.testing.assert_close(product(a, b), (a * b.conj()).real)
    torch.testing.assert_close(squared(a), a.abs() ** 2)
