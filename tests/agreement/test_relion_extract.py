"""Boxes that RELION cuts out of a micrograph hold the neighbours that `simulate` draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
import torch

from cryoalign.io.metadata import read_particles
from cryoalign.particles import Optics
from cryoalign.simulate.stream import simulate_particles
from cryoalign.simulate.weak_phase import WeakPhase
from tests.agreement.conftest import phantom, random_particles, run_relion

SIDE, BOX, PIXEL_SIZE = 160, 32, 2.0
PLACES = np.array([[60.0, 60.9], [81.4, 52.0], [50.0, 83.7], [96.3, 90.0], [76.0, 79.0]])


@pytest.mark.parametrize(("scaled", "least"), [(BOX, 0.998), (20, 0.99)])
def test_boxes_of_a_micrograph(
    scaled: int, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    optics = Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1)
    particles = random_particles(len(PLACES), optics)
    particles = replace(particles, defocus=particles.defocus * [0.3, 0.3, 1], shift=particles.shift / 4)
    density = np.pad(phantom(24), 4)
    mrcfile.write("map.mrc", density, voxel_size=PIXEL_SIZE)
    whole = WeakPhase(torch.from_numpy(density), pixel_size=PIXEL_SIZE, box=BOX, padding=SIDE / BOX)
    moved = particles.shift - (np.trunc(PLACES) - SIDE // 2) * PIXEL_SIZE
    micrograph = whole.of_box(SIDE)(replace(particles, shift=moved)).sum(dim=0).numpy()

    Path("mics").mkdir()
    mrcfile.write("mics/mic.mrc", micrograph, voxel_size=PIXEL_SIZE)
    lens = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["krios"], "rlnMicrographPixelSize": [PIXEL_SIZE],
        "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
        "rlnMicrographOriginalPixelSize": [PIXEL_SIZE],
    }  # fmt: skip
    names = {"rlnMicrographName": ["mics/mic.mrc"], "rlnOpticsGroup": [1]}
    names |= {"rlnDefocusU": [1e4], "rlnDefocusV": [1e4], "rlnDefocusAngle": [0.0]}
    starfile.write({"optics": pd.DataFrame(lens), "micrographs": pd.DataFrame(names)}, "mics.star")
    starfile.write(pd.DataFrame(PLACES, columns=["rlnCoordinateX", "rlnCoordinateY"]), "mics/mic_pick.star")
    command = ["relion_preprocess", "--i", "mics.star", "--coord_dir", "./", "--coord_suffix", "_pick.star"]
    command += ["--part_dir", "cut/", "--part_star", "cut/cut.star", "--extract"]
    run_relion(*command, "--extract_size", str(BOX), "--scale", str(scaled), cwd=tmp_path)

    tables = starfile.read("cut/cut.star")
    poses = zip(("Rot", "Tilt", "Psi"), particles.angles.T, strict=True)
    tables["particles"] = tables["particles"].assign(
        **{f"rlnAngle{name}": values for name, values in poses},
        **{f"rlnOrigin{name}Angst": values for name, values in zip("XY", particles.shift.T, strict=True)},
        **dict(zip(("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"), particles.defocus.T, strict=True)),
    )
    starfile.write(tables, "particles.star", overwrite=True)
    given = read_particles("particles.star")
    assert given.optics[0].pixel_size == pytest.approx(PIXEL_SIZE * BOX / scaled)
    cut = mrcfile.read("cut/mics/mic.mrcs")
    inner = (slice(3, -3),) * 2  # at the edges a particle's own CTF comes in again, and a crop rings
    for neighbours in (True, False):
        star = simulate_particles(
            given, "map.mrc", "sims", neighbours=neighbours, overwrite=True, progress=False
        )
        made = mrcfile.read(star.with_name("sim.mrcs"))
        alike = [
            np.corrcoef(image[inner].ravel(), other[inner].ravel())[0, 1]
            for image, other in zip(made, cut, strict=True)
        ]
        assert (min(alike) > least) == neighbours, alike
