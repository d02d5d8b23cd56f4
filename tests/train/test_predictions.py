"""Each stack of a test states what its own images have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.io.relion import read_particles
from cryoalign.particles import Optics, Particles
from cryoalign.train.predictions import KINDS, Predictions

COUNT, BOX = 4, 16


@pytest.fixture
def raw() -> Particles:
    tilted = Optics(1, "a", 2.0, 300.0, 2.7, 0.1, BOX, beam_tilt=(0.5, 0.25), even_zernike=(1.0, 2.0))
    return Particles.make(
        Path("raw.star"),
        (tilted,),
        COUNT,
        micrograph=np.full(COUNT, "m"),
        defocus=np.full((COUNT, 3), 9000.0),
        sign=-np.ones(COUNT),
    )


def test_what_is_made_of_a_plain_simulation_states_no_aberrations(raw: Particles, tmp_path: Path) -> None:
    plain = Optics(1, "a", 2.0, 300.0, 2.7, 0.1, BOX)
    sim = replace(raw, source=Path("sim.star"), optics=(plain,), sign=np.ones(COUNT))
    callback = Predictions(
        tmp_path, raw, Normalization(), box=BOX, pixel_size=2.0, scale="raw", shown=2, sim=sim
    )
    callback.on_test_start()
    image = torch.randn(COUNT, 1, BOX, BOX, generator=torch.Generator().manual_seed(0))
    unit = torch.tensor([[0.0, 1, -1, 1, 0]]).expand(COUNT, -1)
    batch = {"sim": image, "raw": image, "sim_parameters": unit, "raw_parameters": unit}
    system: Any = SimpleNamespace(objective=SimpleNamespace(rpsd=SimpleNamespace(norm="backward")))
    trainer: Any = None
    callback.on_test_batch_end(trainer, system, {"fake": image}, batch)
    callback.on_test_end()
    stated = {kind: read_particles(tmp_path / f"{kind}.star").optics[0] for kind in KINDS}
    assert stated["raw"].beam_tilt == (0.5, 0.25)
    assert stated["raw"].even_zernike == (1, 2)
    for kind in ("sim", "fake"):
        assert (stated[kind].beam_tilt, stated[kind].even_zernike) == ((0, 0), ())
    values = {kind: mrcfile.read(tmp_path / f"{kind}.mrcs") for kind in KINDS}
    np.testing.assert_allclose(values["sim"], image[:, 0], rtol=1e-6)
    np.testing.assert_allclose(values["raw"], -image[:, 0], rtol=1e-6)
