"""Measured particles without a CTF: simulated, audited and paired with one that is 1 everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.audit.pairs import audit_pairs
from cryoalign.data.datamodule import PairedDataModule
from cryoalign.errors import InputError
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import MrcStack, StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.particles import Optics
from cryoalign.simulate.multislice import Multislice
from cryoalign.simulate.stream import simulate_particles
from tests.agreement.conftest import phantom, random_particles

if TYPE_CHECKING:
    from pathlib import Path

COUNT, BOX = 60, 32


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Projections with noise and a STAR file of RELION 3.0 that holds poses alone."""
    particles = random_particles(COUNT, Optics(1, "one", 3.0, 300.0, 0.0, 1.0, BOX))
    micrographs = np.array([f"mic{i}.mrc" for i in range(COUNT)])
    flat = replace(particles, defocus=np.zeros((COUNT, 3)), shift=particles.shift / 8, micrograph=micrographs)
    mrcfile.write(tmp_path / "map.mrc", phantom(BOX), voxel_size=3.0)
    write_particles(tmp_path / "whole.star", flat, image_names=[f"{i + 1}@raw.mrcs" for i in range(COUNT)])
    signal = simulate_particles(tmp_path / "whole.star", tmp_path / "map.mrc", tmp_path / "signal")
    stack = MrcStack(signal.with_suffix(".mrcs"))
    rng = np.random.default_rng(0)
    with StackWriter(tmp_path / "raw.mrcs", COUNT, BOX, 3.0) as writer:
        for number in range(COUNT):
            image = stack.read(number)
            writer.write(image + rng.normal(0, image.std(), image.shape))
    columns = ("rlnImageName", "rlnMicrographName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    columns += ("rlnOriginXAngst", "rlnOriginYAngst")
    table = read_particles(tmp_path / "whole.star").table[list(columns)].assign(rlnPixelSize=3.0)
    labels = "".join(f"_{name}\n" for name in table)
    rows = "\n".join(" ".join(map(str, row)) for row in table.to_numpy())
    (tmp_path / "raw.star").write_text(f"data_images\n\nloop_\n{labels}{rows}\n")
    return tmp_path / "raw.star"


def test_from_simulation_to_batches(raw: Path) -> None:
    with pytest.raises(InputError, match=r"no CTF columns(.|\n)*missing_ctf=neutral"):
        simulate_particles(raw, raw.with_name("map.mrc"), raw.with_name("none"))
    particles = read_particles(raw, missing_ctf="neutral")
    sim = simulate_particles(particles, raw.with_name("map.mrc"), raw.with_name("sim"))
    expected = MrcStack(raw.with_name("signal") / "sim.mrcs")
    made = MrcStack(sim.with_suffix(".mrcs"))
    for number in range(COUNT):
        np.testing.assert_allclose(made.read(number), expected.read(number), atol=1e-5)
    found = audit_pairs(sim, raw, missing_ctf="neutral", poses=False)
    assert found.conclusion.exit_code == 0, str(found)
    module = PairedDataModule(sim=sim, raw=raw, missing_ctf="neutral", batch_size=4)
    module.setup()
    batch = next(iter(module.train_dataloader()))
    assert torch.isfinite(batch["sim"]).all()
    with pytest.raises(InputError, match="no CTF columns"):
        PairedDataModule(sim=sim, raw=raw).setup()


def test_multislice_has_no_neutral_ctf(raw: Path) -> None:
    particles = read_particles(raw, missing_ctf="neutral")
    with pytest.raises(InputError, match=r"without a CTF cannot be simulated by multislice(.|\n)*weak_phase"):
        simulate_particles(particles, raw.with_name("map.mrc"), raw.with_name("out"), scattering=Multislice)
