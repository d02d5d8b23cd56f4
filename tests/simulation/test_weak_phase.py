"""Weak-phase images against closed forms; RELION's stand in tests/agreement/test_relion_project.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cryoalign.particles import Optics, Particles
from cryoalign.simulation.weak_phase import WeakPhase, fit_volume

# With Q = 1 and no defocus or aberration the CTF is 1 everywhere: what is left is the projection.
FLAT = Optics(1, "flat", pixel_size=2.0, voltage=300, spherical_aberration=0, amplitude_contrast=1)
PLACES = np.array([[9.0, -4, 6], [-6, 10, -8], [2, 3, 14]])  # x, y, z in A
SIGMA = 4.0
FINE = 4.0  # padding at which the interpolation error falls below what is tested here


def particles(count: int, *optics: Optics, seed: int = 0) -> Particles:
    rng = np.random.default_rng(seed)
    return Particles(
        source=Path("made.star"),
        optics=optics,
        row=np.arange(1, count + 1),
        optics_index=np.arange(count) % len(optics),
        stack=np.full(count, "raw.mrcs"),
        slot=np.arange(count),
        micrograph=np.full(count, ""),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-6, 6, (count, 2)),
        defocus=np.zeros((count, 3)),
        phase_shift=np.zeros(count),
        ctf_bfactor=np.zeros(count),
        ctf_scale=np.ones(count),
        half=np.zeros(count, dtype=np.int64),
        sign=np.ones(count),
        table=pd.DataFrame(index=range(count)),
    )


def volume(size: int, voxel: float) -> torch.Tensor:
    axis = (np.arange(size) - size // 2) * voxel
    x, y, z = (np.exp(-((axis - place[:, None]) ** 2) / (2 * SIGMA**2)) for place in PLACES.T)
    return torch.from_numpy(np.einsum("bi,bj,bk->ijk", z, y, x)).float()


def spots(of: Particles, box: int) -> torch.Tensor:
    """Projections in closed form: content sits at minus the origin."""
    images = []
    for (rot, tilt, psi), origin, pixel in zip(
        of.angles, of.shift, of.optics_column("pixel_size"), strict=True
    ):
        c, s = np.cos(np.radians([rot, tilt, psi])), np.sin(np.radians([rot, tilt, psi]))
        about_z = [np.array([[c[i], -s[i], 0], [s[i], c[i], 0], [0, 0, 1]]) for i in (0, 2)]
        about_y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
        seen = PLACES @ (about_z[0] @ about_y @ about_z[1])
        axis = (np.arange(box) - box // 2) * pixel
        x, y = (np.exp(-((axis - seen[:, i, None] + origin[i]) ** 2) / (2 * SIGMA**2)) for i in (0, 1))
        images.append(np.einsum("bj,bk->jk", y, x) * SIGMA * np.sqrt(2 * np.pi) / pixel)
    return torch.from_numpy(np.stack(images)).float()


def relative_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return (torch.linalg.norm(found - truth) / torch.linalg.norm(truth)).item()


@pytest.mark.parametrize("box", [39, 40])
def test_without_a_ctf_it_is_the_projection_at_minus_the_origin(box: int) -> None:
    some = particles(4, FLAT)
    images = WeakPhase(volume(box, 2.0), pixel_size=2.0, box=box, padding=FINE)(some)
    assert images.dtype == torch.float32
    assert relative_error(images, spots(some, box)) < 0.006


@pytest.mark.parametrize(
    ("size", "voxel", "box", "pixel"),
    [
        (40, 2.0, 56, 2.0),  # the box is larger
        (64, 2.0, 40, 2.0),  # the box cuts the volume's empty rim
        (80, 1.0, 40, 2.0),  # finer map, whole ratio
        (77, 1.09, 41, 2.0),  # finer map, no common multiple
        (40, 2.3, 46, 2.0),  # coarser map
        (40, 2.002, 40, 2.0),  # rounded header
    ],
)
def test_volume_and_images_of_different_size_and_sampling(
    size: int, voxel: float, box: int, pixel: float
) -> None:
    some = particles(4, replace(FLAT, pixel_size=pixel))
    images = WeakPhase(volume(size, voxel), pixel_size=voxel, box=box, image_pixel_size=pixel, padding=FINE)(
        some
    )
    assert relative_error(images, spots(some, box)) < 0.006


def test_each_row_has_the_pixel_size_of_its_group() -> None:
    some = particles(4, FLAT, replace(FLAT, group=2, pixel_size=2.06))
    simulator = WeakPhase(volume(40, 2.0), pixel_size=2.0, box=40, image_pixel_size=[2.0, 2.06], padding=FINE)
    assert relative_error(simulator(some), spots(some, 40)) < 0.006


def test_a_pixel_size_that_was_not_announced_is_refused() -> None:
    with pytest.raises(ValueError, match="made for pixel sizes"):
        WeakPhase(volume(40, 2.0), pixel_size=2.0, box=40)(particles(1, replace(FLAT, pixel_size=2.06)))


def test_rows_are_simulated_in_the_order_asked_for_whatever_the_batch() -> None:
    some = replace(particles(6, FLAT), ctf_scale=np.arange(1.0, 7))
    simulator = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32)
    images = simulator(some)
    assert torch.allclose(simulator(some, [4, 0, 5]), images[[4, 0, 5]], atol=1e-5)
    assert torch.allclose(simulator(some, 2), images[2:3], atol=1e-5)


def test_premultiplied_rows_see_the_ctf_twice() -> None:
    some = replace(particles(2, FLAT, replace(FLAT, group=2, premultiplied=True)), ctf_scale=np.full(2, 0.5))
    images = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32, padding=FINE)(some)
    truth = spots(some, 32) * torch.tensor([0.5, 0.25])[:, None, None]
    assert relative_error(images, truth) < 0.006


def test_defocus_of_a_row_reaches_its_image() -> None:
    """At one frequency: a cosine density comes back multiplied by the CTF there."""
    optics = replace(FLAT, amplitude_contrast=0.1)
    defocus = np.array([[12000.0, 12000, 0], [20000, 20000, 0]])
    some = replace(particles(2, optics), angles=np.zeros((2, 3)), shift=np.zeros((2, 2)), defocus=defocus)
    size, frequency = 32, 5 / (32 * 2.0)
    wave = torch.zeros(size, size, size)
    wave[size // 2] = torch.cos(2 * np.pi * 5 / size * (torch.arange(size) - size // 2.0))
    amplitude = torch.fft.rfft2(WeakPhase(wave, pixel_size=2.0, box=size)(some))[:, 0, 5].abs()
    transfer = np.sin(np.pi * 0.0196875 * defocus[:, 0] * frequency**2 + np.arcsin(0.1))
    assert amplitude[0] / amplitude[1] == pytest.approx(abs(transfer[0] / transfer[1]), rel=1e-3)


def test_fitted_volume_keeps_its_origin_and_carries_the_images_nyquist() -> None:
    point = torch.zeros(50, 50, 50)
    point[25, 25, 25] = 1
    for box, pixel in ((20, 3.0), (31, 1.0), (64, 1.3), (21, 1.7)):
        fitted, voxel = fit_volume(point, 1.0, box, finest=pixel, coarsest=pixel)
        place = np.unravel_index(int(fitted.argmax()), fitted.shape)
        assert place == (len(fitted) // 2,) * 3
        assert voxel <= pixel * 1.001
        assert box * pixel - 0.02 <= len(fitted) * voxel < box * pixel + voxel
