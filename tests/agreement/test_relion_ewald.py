"""The Ewald curvature of multislice images is the one that relion_reconstruct corrects."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics
from cryoalign.simulate.multislice import Multislice
from tests.agreement.conftest import run_relion

BOX, COUNT = 64, 400
OPTICS = Optics(
    1, "thick", pixel_size=1.0, voltage=60, spherical_aberration=0, amplitude_contrast=0.07, box_size=BOX
)


def shell_correlation(found: np.ndarray, truth: np.ndarray) -> float:
    """Correlation of the transforms between 0.7 and 0.95 of the Nyquist frequency."""
    axis = np.fft.fftfreq(BOX)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    shell = (radius > 0.35) & (radius < 0.475)
    one, other = (np.fft.fftn(each)[shell] for each in (found, truth))
    return float(np.vdot(one, other).real / np.linalg.norm(one) / np.linalg.norm(other))


def hollow(seed: int = 0) -> np.ndarray:
    """Sharp Gaussians far from the centre, where the curvature shows."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(60, 3))
    places *= rng.uniform(16, 23, (60, 1)) / np.linalg.norm(places, axis=1, keepdims=True)
    axis = np.arange(BOX) - BOX // 2
    z, y, x = (np.exp(-((axis - column[:, None]) ** 2) / 2) for column in places.T)
    return np.einsum("bi,bj,bk->ijk", z, y, x).astype(np.float32)


@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed")
def test_relions_correction_is_of_this_sign(make_particles: Any, tmp_path: Path) -> None:
    specimen = hollow()
    drawn = make_particles(COUNT, OPTICS)
    defocus = np.random.default_rng(1).uniform(300, 1200, (COUNT, 1)) * [1, 1, 0]
    particles = replace(drawn, shift=0 * drawn.shift, defocus=defocus)
    images = Multislice(torch.from_numpy(specimen), pixel_size=1.0, box=BOX, slice_thickness=6)(particles)
    with mrcfile.new(tmp_path / "sim.mrcs", images.numpy()) as stack:
        stack.set_image_stack()
    names = [f"{i + 1:06d}@sim.mrcs" for i in range(COUNT)]
    write_particles(tmp_path / "sim.star", particles, image_names=names, box=BOX)
    agreement = {}
    for option in ((), ("--reverse_curvature",)):
        command = ("relion_reconstruct", "--i", "sim.star", "--o", "map.mrc", "--ctf", "--ewald")
        run_relion(*command, "--mask_diameter", str(BOX - 2), *option, cwd=tmp_path)
        agreement[option] = shell_correlation(mrcfile.read(tmp_path / "map.mrc"), specimen)
    assert agreement[()] > 0.98
    assert 1 - agreement[()] < 0.6 * (1 - agreement["--reverse_curvature",])
