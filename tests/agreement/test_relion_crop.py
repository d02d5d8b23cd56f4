"""A Fourier crop against RELION's: the same at every frequency, but Nyquist's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import torch

from cryoalign.physics.fourier import fourier_resize
from tests.agreement.conftest import run_relion

if TYPE_CHECKING:
    from pathlib import Path


def test_images_are_cropped_as_relion_does(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(64, 96, 96)).astype(np.float32)
    mrcfile.write(tmp_path / "fine.mrcs", noise, voxel_size=1.0)
    command = ("relion_image_handler", "--i", "fine.mrcs", "--o", "coarse.mrcs")
    run_relion(*command, "--angpix", "1", "--rescale_angpix", "2", "--new_box", "48", cwd=tmp_path)
    theirs = np.fft.rfft2(mrcfile.read(tmp_path / "coarse.mrcs"), norm="ortho")
    ours = np.fft.rfft2(fourier_resize(torch.from_numpy(noise), 48).numpy(), norm="ortho")
    beyond = np.zeros((48, 25), bool)
    beyond[24], beyond[:, 24] = True, True
    assert np.allclose(ours[:, ~beyond], theirs[:, ~beyond], atol=1e-4)
    power = (np.abs(ours) ** 2).mean(0), (np.abs(theirs) ** 2).mean(0)
    assert abs(power[0][24, 1:24].mean() / power[1][24, 1:24].mean() - 1) < 0.1  # of the row: RELION keeps it
    assert abs(power[0][1:24, 24].mean() / power[1][1:24, 24].mean() - 2) < 0.2  # of the column: it is halved
