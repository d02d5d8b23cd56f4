"""A test of a run: what each of its stacks states, and on which grey scale it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.data.normalize import Normalization
from cryoalign.figures.panels import KINDS
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.losses.adversarial import LeastSquares
from cryoalign.losses.objective import Objective
from cryoalign.losses.rpsd import RPSDLoss
from cryoalign.models.baselines import Identity
from cryoalign.particles import Optics, Particles
from cryoalign.refine.refiner import Refiner
from cryoalign.train.system import PairedGAN
from cryoalign.train.test import write_part

COUNT, BOX = 24, 16


def written(folder: Path, name: str, optics: Optics, seed: int) -> Path:
    """A stack of noise with its metadata, in four micrographs."""
    with StackWriter(folder / f"{name}.mrcs", COUNT, BOX, 2.0) as writer:
        writer.write(np.random.default_rng(seed).normal(3, 2, (COUNT, BOX, BOX)))
    micrographs = np.array([f"m{row % 4}" for row in range(COUNT)])
    particles = Particles.make(
        folder / f"{name}.star",
        (optics,),
        COUNT,
        stack=np.full(COUNT, f"{name}.mrcs"),
        micrograph=micrographs,
        defocus=np.full((COUNT, 3), 9000.0),
    )
    write_particles(folder / f"{name}.star", particles)
    return folder / f"{name}.star"


@pytest.fixture
def data(tmp_path: Path) -> PairedDataModule:
    """Raw images with aberrations, sims without."""
    optics: tuple[Any, ...] = (1, "a", 2.0, 300.0, 2.7, 0.1, BOX)
    raw = Optics(*optics, beam_tilt=(0.5, 0.25), even_zernike=(1.0, 2.0))
    made = tmp_path / "data"
    made.mkdir()
    stars = written(made, "sim", Optics(*optics), 1), written(made, "raw", raw, 2)
    module = PairedDataModule(*stars, normalization={"range": "percentiles", "percentiles": (5, 95)})
    module.setup()
    return module


def test_each_stack_states_what_its_images_have(data: PairedDataModule, tmp_path: Path) -> None:
    """Also: sims as they were read, raw normalized by its background and not clipped."""
    objective = Objective(LeastSquares(), {"gan": 0.0, "l1": 1.0, "rpsd": 1.0}, rpsd=RPSDLoss(1))
    system = PairedGAN(Identity(BOX), None, objective, lambda _: None, box=BOX)  # type: ignore[arg-type,return-value]
    normalization = data.normalization
    assert isinstance(normalization, Normalization)
    refiner = Refiner(Identity(BOX), normalization, seed=1, box=BOX, pixel_size=2.0)
    write_part(system, refiner, data, "train", tmp_path, progress=False)

    stated = {kind: read_particles(tmp_path / f"{kind}.star").optics[0] for kind in KINDS}
    assert stated["raw"].beam_tilt == (0.5, 0.25)
    assert stated["raw"].even_zernike == (1, 2)
    for kind in ("sim", "fake"):
        assert (stated[kind].beam_tilt, stated[kind].even_zernike) == ((0, 0), ())

    rows = data.rows["train"]
    images = {kind: mrcfile.read(tmp_path / f"{kind}.mrcs") for kind in KINDS}
    np.testing.assert_array_equal(images["sim"][1], data.sim_images.image(int(rows[1])))
    axis = np.arange(BOX) - BOX // 2
    outside = images["raw"][:, np.hypot(axis[:, None], axis) > 0.9 * BOX / 2]
    np.testing.assert_allclose(outside.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(outside.std(axis=1), 1, atol=1e-5)
    assert images["raw"].max() > normalization.raw_high
    values, _ = normalization.sim(data.sim_images.image(int(rows[1])))
    np.testing.assert_array_equal(images["fake"][1], normalization.grey(values))
