"""Odd boxes: the origin is pixel N // 2 here, and one pixel further along x and y in RELION 3.1.3."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.agreement.test_relion_project import GLACIOS, compare, simulate

if TYPE_CHECKING:
    from typing import Any


@pytest.mark.relion
@pytest.mark.parametrize(("box", "further"), [(33, 1), (64, 0), (65, 1)])
def test_where_relion_has_its_origin(
    box: int, further: int, relion_project: Any, make_phantom: Any, make_particles: Any
) -> None:
    volume = make_phantom(box)
    particles, theirs = relion_project(make_particles(6, GLACIOS), volume, GLACIOS.pixel_size)
    ours = simulate(particles, volume, GLACIOS.pixel_size)
    worst, residual = compare(np.roll(ours, (further, further), axis=(1, 2)), theirs)
    assert worst > 0.999999
    assert residual < 5e-4
    if further:
        assert compare(ours, theirs)[0] < 0.95


@pytest.mark.parametrize("box", [33, 64, 65])
def test_our_origin_is_pixel_half_the_box(box: int, make_particles: Any) -> None:
    """A point at voxel N // 2 is at pixel N // 2 from wherever one looks."""
    volume = np.zeros((box,) * 3, np.float32)
    volume[(box // 2,) * 3] = 1
    particles = make_particles(4, replace(GLACIOS, amplitude_contrast=1.0, spherical_aberration=0.0))
    nothing = {name: np.zeros_like(getattr(particles, name)) for name in ("shift", "defocus")}
    images = simulate(replace(particles, **nothing), volume, GLACIOS.pixel_size)
    places = [np.unravel_index(np.abs(image).argmax(), image.shape) for image in images]
    assert places == [(box // 2, box // 2)] * 4
