"""Refine simulated stacks of any size with a trained generator."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cryoalign.data.images import SAME_PIXEL_SIZE, ParticleImages
from cryoalign.errors import InputError
from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.cryosparc.write import write_cryosparc
from cryoalign.io.locate import locate_stacks
from cryoalign.io.metadata import passthrough_files, read_particles
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.output import staged
from cryoalign.io.progress import progress_bar
from cryoalign.io.relion import write_particles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from cryoalign.data.normalize import Normalization
    from cryoalign.particles import Particles
    from cryoalign.runs.folder import Run
    from cryoalign.train.system import PairedGAN

_log = logging.getLogger(__name__)


class _Sims(Dataset["tuple[Tensor, Tensor, Tensor]"]):
    """Simulated images alone, normalized as in the run, with their rows and defoci."""

    def __init__(self, images: ParticleImages, normalization: Normalization) -> None:
        self.images, self.normalization = images, normalization

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        image, _ = self.normalization.sim(self.images.image(row))
        defocus = self.images.particles.mean_defocus[row]
        return torch.from_numpy(image)[None], torch.tensor(row), torch.tensor(defocus, dtype=torch.float32)


def refine_stack(
    run: Run,
    system: PairedGAN,
    star: Path,
    out: Path,
    *,
    root: Path | None = None,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    draws: int = 1,
    batch_size: int = 32,
    workers: int = 0,
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Turn a simulated stack into fakes, batch by batch.

    Grey values are background-normalized, as raw images of the training set are.

    Parameters
    ----------
    run : Run
        Whose normalization, box and pixel size hold.
    system : PairedGAN
        Trained.
    star : Path
        STAR or ``.cs`` file of the simulated stack.
    out : Path
        Folder to make: ``fake.mrcs`` and ``fake.star``, or ``fake_draw01.mrcs``, ... where `draws` is above
        1; of a ``.cs`` also ``fake.cs``, which keeps the uids.
    root : Path, optional
        Folder that the stack names are relative to.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of the simulated stack.
    draws : int
        How many fakes of each sim; they differ only for a generator with noise maps or dropout.
    batch_size, workers : int
        Of the loader.
    device : str
        Where the generator runs.
    overwrite : bool
        Replace a folder of an earlier export.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Path
        The STAR files.

    Raises
    ------
    InputError
        If the stack is not of the run's box and pixel size, or `out` exists.
    """
    if draws < 1 or batch_size < 1 or workers < 0:
        raise InputError(
            "nothing to export",
            expected="draws >= 1, batch_size >= 1 and workers >= 0",
            found=f"{draws}, {batch_size} and {workers}",
        )
    others = passthrough_files(passthrough)
    particles = read_particles(star, others)
    stacks = locate_stacks(particles, root=root)
    options = {name: run.cfg.data[name] for name in ("box", "resample", "check_header")}
    images = ParticleImages(particles, stacks, **options)
    _check_pixels(run, images, star)
    names = ["fake"] if draws == 1 else [f"fake_draw{draw + 1:02d}" for draw in range(draws)]
    loader = DataLoader(_Sims(images, run.normalization), batch_size=batch_size, num_workers=workers)
    system = system.to(device).eval()
    if draws > 1 and not _is_random(system):
        _log.warning("this generator has neither noise maps nor dropout at inference: all draws are alike")
    with staged(out, overwrite=overwrite, inputs=[star, *others, *stacks.values()]) as folder:
        for draw, name in enumerate(names):
            with StackWriter(folder / f"{name}.mrcs", len(images), images.box, images.pixel_size) as writer:
                for sims, rows, defocus in progress_bar(loader, name, shown=progress):
                    fakes = system.refine(sims.to(device), rows, torch.full_like(rows, draw), defocus)
                    writer.write(run.normalization.grey(fakes.squeeze(1).cpu().numpy()))
            _write_metadata(folder / f"{name}.star", particles, images)
    return [out / f"{name}.star" for name in names]


def _is_random(system: PairedGAN) -> bool:
    dropout = any(getattr(module, "at_inference", False) for module in system.generator.modules())
    return bool(system.generator.noise_channels) or dropout


def _check_pixels(run: Run, images: ParticleImages, star: Path) -> None:
    box, pixel_size = run.data["box"], run.data["pixel_size"]
    if images.box != box or abs(images.pixel_size / pixel_size - 1) > SAME_PIXEL_SIZE:
        raise InputError(
            "the generator was trained on other images",
            file=star,
            expected=f"box {box} px at {pixel_size:.4f} A/px",
            found=f"box {images.box} px at {images.pixel_size:.4f} A/px",
            remedy="simulate at the box and pixel size of the training data",
        )


def _write_metadata(path: Path, particles: Particles, images: ParticleImages) -> None:
    table = particles.table
    original = (
        table["rlnImageOriginalName"].to_numpy() if "rlnImageOriginalName" in table else particles.image_name
    )
    write_particles(
        path,
        particles,
        image_names=[f"{number:06d}@{path.stem}.mrcs" for number in range(1, len(particles) + 1)],
        original_names=original.tolist(),
        box=images.box,
        pixel_size=images.pixel_size,
        extra={"rlnParticleId": np.asarray(particles.row)},
    )
    if from_cryosparc(particles):
        write_cryosparc(
            path.with_suffix(".cs"),
            particles,
            stack=f"{path.stem}.mrcs",
            box=images.box,
            pixel_size=images.pixel_size,
        )
