"""Sums of Gaussians, whose projection, CTF and shift are a formula: no further from the truth than RELION.

Both programs interpolate a transform padded twice, linearly. That leaves replicas of the map at twice the
box, 3 % of these images, which no correction of the map takes away; a padding of 3 leaves 1.3 %, of 4 0.7 %.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import constants

from tests.agreement.test_relion_project import GLACIOS, simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.particles import Particles

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_project") is None, reason="RELION is not installed"),
]

SIGMA = 1.6  # px; at Nyquist the transform has fallen to 3e-6


def gaussians(box: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and (100, 3) places x, y, z in px from the origin, in a ball of 0.35 boxes."""
    rng = np.random.default_rng(3)
    places = rng.normal(size=(100, 3))
    places *= (
        0.35 * box * rng.uniform(size=(100, 1)) ** (1 / 3) / np.linalg.norm(places, axis=1, keepdims=True)
    )
    return rng.uniform(0.5, 2, 100), places


def sampled(box: int) -> NDArray[np.float32]:
    axis, (weights, places) = np.arange(box) - box // 2, gaussians(box)
    x, y, z = (np.exp(-((axis - column[:, None]) ** 2) / (2 * SIGMA**2)) for column in places.T)
    return np.einsum("b,bi,bj,bk->ijk", weights, z, y, x, optimize=True).astype(np.float32)


def transfer(particles: Particles, row: int, kx: NDArray[np.float64], ky: NDArray[np.float64]) -> Any:
    """Write the CTF out with azimuths; nothing of `cryoalign.physics` is used."""
    group = particles.optics[particles.optics_index[row]]
    energy, rest = group.voltage * 1e3 * constants.e, constants.m_e * constants.c**2
    wavelength = constants.h * constants.c / np.sqrt(energy * (2 * rest + energy)) * 1e10
    u, v, azimuth = particles.defocus[row]
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (np.arctan2(ky, kx) - np.radians(azimuth)))
    k2 = kx**2 + ky**2
    phase = (
        np.pi * wavelength * defocus * k2
        - np.pi / 2 * group.spherical_aberration * 1e7 * wavelength**3 * k2**2
    )
    phase += np.arcsin(group.amplitude_contrast) + np.radians(particles.phase_shift[row])
    return np.sin(phase) * particles.ctf_scale[row] * np.exp(-particles.ctf_bfactor[row] / 4 * k2)


def truth(particles: Particles, box: int, pixel_size: float) -> NDArray[np.float64]:
    """Sum the transforms of the projected Gaussians at the frequencies of the images."""
    weights, places = gaussians(box)
    ky, kx = np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None]
    envelope = (2 * np.pi * SIGMA**2) ** 1.5 * np.exp(-2 * np.pi**2 * SIGMA**2 * (kx**2 + ky**2))
    images = []
    for row, (rot, tilt, psi) in enumerate(np.radians(particles.angles)):
        turn = about_z(rot) @ about_y(tilt) @ about_z(psi)
        x, y = (places @ turn)[:, :2].T - particles.shift[row, :, None] / pixel_size
        waves = np.exp(-2j * np.pi * y[:, None] * ky[:, 0]), np.exp(-2j * np.pi * x[:, None] * kx[0])
        spectrum = np.einsum("b,by,bx->yx", weights, *waves, optimize=True) * envelope
        spectrum *= transfer(particles, row, kx / pixel_size, ky / pixel_size)
        images.append(np.fft.fftshift(np.fft.irfft2(spectrum, s=(box, box))))
    return np.array(images)


def about_z(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def about_y(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def error(images: NDArray[np.float32], of: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(images - of) / np.linalg.norm(of))


@pytest.mark.parametrize(("box", "count"), [(64, 16), (128, 12)])
def test_no_further_from_the_formula_than_relion(
    relion_project: Any, make_particles: Any, box: int, count: int
) -> None:
    rng, volume, size = np.random.default_rng(7), sampled(box), GLACIOS.pixel_size
    some = replace(
        make_particles(count, GLACIOS),
        phase_shift=rng.uniform(0, 90, count),
        ctf_bfactor=rng.uniform(0, 60, count),
        ctf_scale=rng.uniform(0.8, 1.2, count),
    )
    particles, theirs = relion_project(some, volume, size)
    expected = truth(particles, box, size)
    ours = error(simulate(particles, volume, size), expected)
    assert ours <= 1.0001 * error(theirs, expected)  # they are equal but for rounding
    assert ours < 0.04
    assert error(simulate(particles, volume, size, padding=4.0), expected) < 0.01
