"""Weak-phase images against closed forms; RELION's stand in tests/agreement/test_relion_project.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import ndimage

from cryoalign.particles import Optics, Particles
from cryoalign.physics.conditions import Announced, conditions, without_aberrations
from cryoalign.physics.ctf import electron_wavelength
from cryoalign.physics.fourier import rfft2
from cryoalign.simulate.weak_phase import WeakPhase, fit_volume

if TYPE_CHECKING:
    from collections.abc import Iterator

# With Q = 1 and no defocus or aberration the CTF is 1 everywhere: what is left is the projection.
FLAT = Optics(1, "flat", pixel_size=2.0, voltage=300, spherical_aberration=0, amplitude_contrast=1)
PLACES = np.array([[9.0, -4, 6], [-6, 10, -8], [2, 3, 14]])  # x, y, z in A
SIGMA = 4.0
FINE = 4.0  # padding at which the interpolation error falls below what is tested here


def particles(count: int, *optics: Optics, seed: int = 0) -> Particles:
    rng = np.random.default_rng(seed)
    return Particles.make(
        Path("made.star"),
        optics,
        count,
        optics_index=np.arange(count) % len(optics),
        angles=rng.uniform(0, 180, (count, 3)),
        shift=rng.uniform(-6, 6, (count, 2)),
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


@pytest.fixture
def threads() -> Iterator[int]:
    """Two of them, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_threads_change_neither_images_nor_the_callers_setting(threads: int) -> None:
    some = particles(11, FLAT)
    simulate = WeakPhase(volume(40, 2.0), pixel_size=2.0, box=40)
    together = simulate(some)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert torch.allclose(simulate(some), together, rtol=0, atol=1e-5)
    assert simulate(some, []).shape == (0, 40, 40)


def test_premultiplied_rows_see_the_ctf_twice() -> None:
    some = replace(particles(2, FLAT, replace(FLAT, group=2, premultiplied=True)), ctf_scale=np.full(2, 0.5))
    images = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32, padding=FINE)(some)
    truth = spots(some, 32) * torch.tensor([0.5, 0.25])[:, None, None]
    assert relative_error(images, truth) < 0.006


def test_magnification_stretches_the_projection() -> None:
    """The transform at M k is that of the image at M^-T x, over det M."""
    matrix = np.array([[1.06, 0.03], [-0.05, 0.95]])
    some = replace(
        particles(3, replace(FLAT, magnification=tuple(matrix.ravel().tolist()))), shift=np.zeros((3, 2))
    )
    images = WeakPhase(volume(48, 2.0), pixel_size=2.0, box=48, padding=FINE)(some).numpy()
    seen = spots(some, 48).numpy()
    y, x = np.mgrid[:48, :48] - 24.0
    inverse = np.linalg.inv(matrix).T
    where = inverse[1, 0] * x + inverse[1, 1] * y + 24, inverse[0, 0] * x + inverse[0, 1] * y + 24
    stretched = [ndimage.map_coordinates(image, where, order=5) for image in seen]
    truth = torch.from_numpy(np.stack(stretched) / np.linalg.det(matrix))
    assert relative_error(torch.from_numpy(images), truth) < 0.01
    assert relative_error(torch.from_numpy(images), spots(some, 48)) > 0.05


def test_odd_aberrations_turn_the_phases_and_nothing_else() -> None:
    optics = replace(FLAT, spherical_aberration=2.7, amplitude_contrast=0.1)
    plain = replace(particles(2, optics), defocus=np.full((2, 3), 9000.0))
    tilted = replace(plain, optics=(replace(optics, beam_tilt=(2.0, 1.0), odd_zernike=(10.0, -5, 0, 0, 40)),))
    simulator = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32)
    before, after = (rfft2(simulator(each)) for each in (plain, tilted))
    ky, kx = np.fft.fftfreq(32, 2.0)[:, None], np.fft.rfftfreq(32, 2.0)[None]
    k2, wavelength = kx**2 + ky**2, 0.019687
    phase = -2 * np.pi * 2.7e7 * wavelength**2 * 1e-3 * k2 * (2 * kx + ky)
    phase = phase + 10 * ky - 5 * kx + 40 * (3 * k2 - 2) * kx
    expected = before * torch.from_numpy(np.exp(1j * phase))
    inside = np.s_[:, 1:16, 1:16]  # without the frequencies that stand for themselves in a real image
    assert np.abs(phase).max() > 3
    assert torch.linalg.norm((after - expected)[inside]) < 2e-4 * torch.linalg.norm(expected[inside])


def test_even_aberrations_act_as_the_defocus_that_they_equal() -> None:
    """2 k^2 - 1 of c rad is a defocus of -2 c / (pi lambda) and a constant phase of c."""
    optics = replace(FLAT, amplitude_contrast=0.1)
    coefficient, wavelength = 7.0, float(electron_wavelength(torch.tensor(300.0)))
    plain = replace(particles(2, optics), defocus=np.full((2, 3), 9000.0))
    zernike = replace(plain, optics=(replace(optics, even_zernike=(0.0, 0.0, coefficient)),))
    focus = replace(
        plain,
        defocus=plain.defocus - np.array([1, 1, 0]) * 2 * coefficient / (np.pi * wavelength),
        phase_shift=np.full(2, np.degrees(coefficient)),
    )
    simulator = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32)
    assert relative_error(simulator(zernike), simulator(focus)) < 1e-4
    assert relative_error(simulator(zernike), simulator(plain)) > 0.1


def test_groups_with_and_without_aberrations_in_one_batch() -> None:
    lens = {"spherical_aberration": 2.7, "amplitude_contrast": 0.1}
    groups = (
        replace(FLAT, **lens),
        replace(FLAT, group=2, **lens, beam_tilt=(2.0, 1.0), even_zernike=(3.0,)),
        replace(FLAT, group=3, **lens, odd_zernike=(0, 0, 50.0), magnification=(1.02, 0.01, 0, 0.97)),
    )
    some = particles(6, *groups)
    simulator = WeakPhase(volume(32, 2.0), pixel_size=2.0, box=32)
    together = simulator(some)
    for row in range(6):
        assert relative_error(simulator(some, row)[0], together[row]) < 1e-6
    plain = simulator(without_aberrations(some))
    assert relative_error(plain[::3], together[::3]) < 1e-6
    assert all(relative_error(plain[row], together[row]) > 0.02 for row in (1, 2, 4, 5))


def test_no_aberrations_cost_nothing() -> None:
    some = particles(4, FLAT, replace(FLAT, group=2, beam_tilt=(1.0, 0.0)))
    plain = conditions(some, np.array([0, 2]), "cpu")
    assert plain.magnification is None
    assert plain.aberrations(*plain.frequencies(16)) == (None, None)
    tilted = conditions(some, np.array([0, 1]), "cpu")
    even, odd = tilted.aberrations(*tilted.frequencies(16))
    assert even is tilted.magnification is None
    assert odd is not None
    assert odd.dtype == torch.float32
    assert not odd[0].any()


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
        fitted, voxel = fit_volume(point, 1.0, box, Announced.of(pixel))
        place = np.unravel_index(int(fitted.argmax()), fitted.shape)
        assert place == (len(fitted) // 2,) * 3
        assert voxel <= pixel * 1.001
        assert box * pixel - 0.02 <= len(fitted) * voxel < box * pixel + voxel
