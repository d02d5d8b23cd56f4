"""Sims that are unlike those of the training are refused before they become unusable fakes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from omegaconf import OmegaConf

from cryoalign.data.images import ParticleImages
from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.export.training_sims import check_like_training
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.particles import Optics
from cryoalign.runs.folder import Run
from tests.agreement.conftest import random_particles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def images_and_run(
    folder: Path, images: np.ndarray, *, premultiplied: bool = False, **known: object
) -> tuple[ParticleImages, Run]:
    """A stack, and a run whose sims had mean 1 and standard deviation 2."""
    count, box = images.shape[:2]
    optics = Optics(1, "one", 2.0, 300.0, 2.7, 0.1, premultiplied=premultiplied, box_size=box)
    names = [f"{i + 1:06d}@sim.mrcs" for i in range(count)]
    with StackWriter(folder / "sim.mrcs", count, box, 2.0) as writer:
        writer.write(images)
    write_particles(folder / "sim.star", random_particles(count, optics), image_names=names)
    particles = read_particles(folder / "sim.star")
    fitted = Normalization(sim_offset=1.0, sim_scale=2.0).state()
    data = {"normalization": fitted, "bright_share": 1.0, "premultiplied": 0.0} | known
    paths = dict.fromkeys(particles.stack.tolist(), folder / "sim.mrcs")
    return ParticleImages(particles, paths), Run(folder, OmegaConf.create(), data)


def bright(box: int = 32) -> np.ndarray:
    """Images of mean 1 and standard deviation 2, brighter in the middle."""
    y, x = np.mgrid[:box, :box] - box // 2
    noise = np.random.default_rng(0).normal(size=(5, box, box))
    values = noise + 2 * np.exp(-(x**2 + y**2) / 50)
    return 1 + 2 * (values - values.mean()) / values.std()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: 100 * x, "standard deviation 200"),
        (lambda x: x / 4, "standard deviation 0.5"),
        (lambda x: x + 8, "mean 9 "),
        (lambda x: 2 - x, "dark particles on a bright background"),
    ],
)
def test_sims_unlike_the_trainings_are_refused(
    change: Callable[[np.ndarray], np.ndarray], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, run = images_and_run(tmp_path, change(bright()))
    with pytest.raises(InputError, match=said) as refusal:
        check_like_training(run, images, take=False)
    assert "unlike=take" in str(refusal.value)
    check_like_training(run, images, take=True)
    assert said in caplog.text


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 2 * x, lambda x: x / 2, lambda x: x + 4])
def test_sims_like_the_trainings_are_taken(
    change: Callable[[np.ndarray], np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check_like_training(*reversed(images_and_run(tmp_path, change(bright()))), take=False)
    assert not caplog.text


def test_a_run_that_knows_no_contrast_takes_either(tmp_path: Path) -> None:
    """Nor one whose images are half of them bright: noise says nothing."""
    for known in (None, 0.6):
        images, run = images_and_run(tmp_path, 2 - bright(), bright_share=known)
        check_like_training(run, images, take=False)


def test_premultiplied_sims_into_a_run_of_others(tmp_path: Path) -> None:
    images, run = images_and_run(tmp_path, bright(), premultiplied=True)
    with pytest.raises(InputError, match="CTF-premultiplied"):
        check_like_training(run, images, take=False)
    check_like_training(replace(run, data=run.data | {"premultiplied": 1.0}), images, take=False)
    check_like_training(replace(run, data=run.data | {"premultiplied": None}), images, take=False)


def test_a_training_states_what_its_sims_look_like(run: Path) -> None:
    known = json.loads((run / "data.json").read_text())
    assert (known["bright_share"], known["premultiplied"]) == (1.0, 0.0)
