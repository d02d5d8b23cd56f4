"""Fakes of particles that were never measured, beside the raw images of others: what a factory makes."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from cryoalign.embedded.recipe import draw_view
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.reading import Reader
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.io.simulated import CLASS, MEASURED_MICROGRAPH, NAME_PREFIX, PARTICLE_NAME
from cryoalign.particles import Particles
from tests.fakes.known import Fakes, Known
from tests.fakes.measured import Measured

#: Questions of the matrix that need pairs.
NOT_ASKED = ("content", "truth", "copied", "memorized")

_OTHER_NOISE = 500  # streams


class New(Known):
    """As many particles as `like` has, each with conditions of one of those, in another view and place."""

    measured: ClassVar[type[Known]] = Known

    @cached_property
    def like(self) -> Known:
        """The measured ones."""
        return self.measured(self.box, self.count, self.micrographs, self.seed)

    @cached_property
    def particles(self) -> Particles:
        rng, like = np.random.default_rng([self.seed, 9]), self.like.particles
        lenders = np.concatenate([rng.choice(rows, len(rows)) for rows in (self.judged, self.like.trained)])
        views = np.stack([draw_view(rng) for _ in lenders])
        drawn = like.take(lenders)
        return replace(
            drawn, row=np.arange(1, len(lenders) + 1), angles=views, shift=rng.permutation(like.shift)
        )

    @property
    def scale(self) -> float:  # type: ignore[override]
        return self.like.scale

    def noise(self, count: int, stream: int, **more: bool) -> torch.Tensor:
        return super().noise(count, stream + _OTHER_NOISE, **more)

    def write(
        self,
        folder: Path,
        name: str,
        images: torch.Tensor,
        particles: Particles,
        classes: np.ndarray | None = None,
    ) -> Path:
        """Write a stack and its STAR file, as `simulate like=` and an export of it name particles."""
        with StackWriter(folder / f"{name}.mrcs", len(images), self.box, self.pixel_size) as writer:
            writer.write(images.numpy())
        rows = range(1, len(images) + 1)
        made = np.array([f"simulated_00/{micrograph}" for micrograph in particles.micrograph])
        write_particles(
            folder / f"{name}.star",
            replace(particles, micrograph=made),
            image_names=[f"{number:06d}@{name}.mrcs" for number in rows],
            original_names=None if name.endswith("sim") else [f"{number:06d}@sim.mrcs" for number in rows],
            box=self.box,
            extra={
                PARTICLE_NAME: [f"{NAME_PREFIX}{row:016x}" for row in particles.row],
                MEASURED_MICROGRAPH: particles.micrograph,
                CLASS: np.ones(len(images), dtype=np.int64) if classes is None else classes,
            },
        )
        return folder / f"{name}.star"


class NewMeasured(New, Measured):
    """The same with noise as a microscope's."""

    measured = Measured


def unpaired_case(new: New, raw: Path, folder: Path, fakes: Fakes, draws: int = 1000) -> Case:
    """Write what a generator made of new particles, and read it beside raw images.

    Parameters
    ----------
    new : New
    raw : Path
        STAR file of `new.like`.
    folder : Path
        For the fakes.
    fakes : Fakes
    draws : int
        Bootstrap replicates.
    """
    part = new.particles.take(new.judged)
    files = {
        kind: new.write(folder, f"new_{kind}", images, part)
        for kind, images in (
            ("fake", fakes.fake),
            ("second_draw", fakes.second_draw),
            ("sim", new.sims[new.judged]),
        )
    }
    empty = new.write(folder, "new_empty", fakes.empty, part.take(np.arange(len(fakes.empty)) % len(part)))
    lacking = new.write(folder, "new_without_domain", fakes.without_domain, part)
    reader = Reader()
    pairs = reader.unpaired(raw, **files)
    return Case(
        pairs,
        empty=reader.probe(empty, pairs),
        without_domain=reader.probe(lacking, pairs),
        domain=new.domain,
        volume=new.volume,
        voxel_size=new.pixel_size,
        draws=draws,
    )
