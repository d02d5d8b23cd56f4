"""The same images at the same poses: our map against that of relion_reconstruct."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.evaluate.measures.reference import Views
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.particles import Optics
from cryoalign.physics.fourier import fourier_resize_volume, rfft2, shift
from cryoalign.physics.reconstruction import reconstruct
from cryoalign.simulate.weak_phase import WeakPhase
from tests.agreement.conftest import phantom, random_particles, run_relion

BOX, PIXEL_SIZE, COUNT = 32, 4.0, 400


@pytest.mark.relion
def test_the_map_is_relions(tmp_path: Path) -> None:
    volume = fourier_resize_volume(torch.from_numpy(phantom(64)), BOX)
    made = random_particles(COUNT, Optics(1, "one", PIXEL_SIZE, 300.0, 2.7, 0.1, BOX))
    names = [f"{number:06d}@in.mrcs" for number in range(1, COUNT + 1)]
    write_particles(tmp_path / "in.star", made, image_names=names, box=BOX)
    particles = read_particles(tmp_path / "in.star")
    images = WeakPhase(volume, pixel_size=PIXEL_SIZE, box=BOX)(particles)
    images += 0.5 * images.std() * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    with mrcfile.new(tmp_path / "in.mrcs", images.numpy()) as stack:
        stack.voxel_size = PIXEL_SIZE
        stack.set_image_stack()
    run_relion("relion_reconstruct", "--i", "in.star", "--o", "out.mrc", "--ctf", cwd=tmp_path)
    theirs = mrcfile.read(tmp_path / "out.mrc")

    views = Views.of(particles, np.arange(COUNT), BOX, PIXEL_SIZE)
    spectra = shift(rfft2(images), views.move, BOX)
    ours = reconstruct(spectra, views.transfers, views.rotations).numpy()

    axis = np.arange(BOX) - BOX // 2
    inside = np.sqrt(sum(each**2 for each in np.meshgrid(axis, axis, axis))) < 14
    a, b = ours[inside], theirs[inside]
    assert np.corrcoef(a, b)[0, 1] > 0.98
    slope = float(a @ b / (b @ b))
    assert slope == pytest.approx(1, abs=0.1)
