"""Test a trained generator on one part of a split, and write everything that came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from cryoalign.cli import choose_device
from cryoalign.data.metadata import rows_of
from cryoalign.data.normalize import GreyMap
from cryoalign.errors import InputError, choice
from cryoalign.figures.panels import KINDS
from cryoalign.io.output import staged
from cryoalign.io.progress import progress_bar
from cryoalign.refine.stack import write_stack
from cryoalign.train.fixed_batch import curves, draw_panels, draw_spectra
from cryoalign.train.table import write_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.data.datamodule import PairedDataModule, Part
    from cryoalign.data.dataset import Pair
    from cryoalign.data.images import ParticleImages
    from cryoalign.data.normalize import Normalization
    from cryoalign.refine.refiner import Refiner
    from cryoalign.train.system import PairedGAN

_SHOWN = 4
#: What of a run's pairs can be tested.
PARTS: tuple[Part, ...] = ("train", "validation", "test", "held_out")


def run_test(
    system: PairedGAN,
    refiner: Refiner,
    data: PairedDataModule,
    out: Path,
    log: Callable[[dict[str, float]], None],
    *,
    progress: bool,
) -> dict[str, float]:
    """Compute the metrics of the test part and write them with the images, the spectra and both figures.

    Parameters
    ----------
    system : PairedGAN
        Its discriminator is asked, too.
    refiner : Refiner
        Of the same run.
    data : PairedDataModule
        Set up.
    out : Path
        The folder to make, or to replace where it is of an earlier test.
    log : callable
        Gets the metrics before the folder is in its place: a test that was killed is made again whole.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        Metric name, without prefix, to value.

    Raises
    ------
    InputError
        If the part is empty or something else lies at `out`.
    """
    check_part(data, "test")
    inputs = [path for path in data.files() if path.exists()]
    with staged(out, overwrite=True, inputs=inputs) as folder:
        values = write_part(system, refiner, data, "test", folder, progress=progress)
        log(values)
        return values


def check_part(data: PairedDataModule, part: Part) -> None:
    """Refuse a part of the split that holds nothing; ``held_out`` joins validation and test.

    Parameters
    ----------
    data : PairedDataModule
        Set up; it gets the rows of ``held_out`` where these are asked for.
    part : {"train", "validation", "test", "held_out"}

    Raises
    ------
    InputError
        If there is no such part, or it is empty.
    """
    choice("part", part, PARTS)
    if part == "held_out":
        data.rows["held_out"] = np.sort(np.concatenate([data.rows["validation"], data.rows["test"]]))
    if len(data.rows[part]) == 0:
        raise InputError(
            f"there is nothing to test: the {part} part is empty",
            expected="pairs in it",
            found=", ".join(f"{len(rows)} {name}" for name, rows in data.rows.items()),
            remedy="choose another part with part=, or train with data.split.fractions that fill it",
        )


def device_of(accelerator: str) -> str:
    """Return the device that an accelerator of Lightning means.

    Raises
    ------
    InputError
        If this machine has none.
    """
    try:
        return choose_device({"gpu": "cuda"}.get(accelerator, accelerator))
    except InputError as error:
        raise InputError(
            "this accelerator cannot be used",
            expected="auto, cpu or gpu",
            found=error.found,
            remedy="leave it out: auto takes a GPU where there is one",
        ) from error


def write_part(
    system: PairedGAN,
    refiner: Refiner,
    data: PairedDataModule,
    part: Part,
    folder: Path,
    *,
    progress: bool,
) -> dict[str, float]:
    """Compute the metrics of a part and write what came of it into a folder that is there. One process.

    ``sim.mrcs`` has the grey values of its own stack, ``raw.mrcs`` and ``fake.mrcs`` are
    background-normalized; metrics, spectra and figures are of network values.

    Parameters
    ----------
    system, refiner, data, progress
        As in `run_test`.
    part : {"train", "validation", "test", "held_out"}
    folder : Path
        Where the files go.

    Returns
    -------
    dict
        Metric name, without prefix, to value.
    """
    sim, raw = data.particles(part)
    # A simulation may have left aberrations out, and what is made of its images lacks them too.
    simulated = replace(raw, optics=sim.optics, optics_index=sim.optics_index)
    seen = _Seen(system.to(refiner.device).eval())
    fakes = seen.fakes(refiner, data, part, progress=progress)
    normalization = cast("Normalization", data.normalization)
    rows = data.rows[part]
    for kind, images, particles in (
        ("fake", fakes, simulated),
        ("sim", as_read(data.sim_images, rows), simulated),
        ("raw", background_normalized(data.raw_images, rows, normalization), raw),
    ):
        write_stack(
            folder / f"{kind}.star",
            images,
            particles,
            box=data.box,
            pixel_size=data.pixel_size,
            original_names=raw.image_name,
        )
    seen.write(folder, data.box, data.pixel_size)
    values = {name: float(value) for name, value in system.test_suite.compute().items()}
    system.test_suite.reset()
    write_metrics(folder, values)
    return values


def as_read(images: ParticleImages, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Yield (1, N, N) images in the grey values of their stack."""
    return (images.image(int(row))[None] for row in rows)


def background_normalized(
    images: ParticleImages, rows: NDArray[np.int64], normalization: Normalization
) -> Iterator[NDArray[np.float32]]:
    """Yield (1, N, N) measured images with mean 0 and standard deviation 1 outside the particle's circle."""
    by_background = replace(normalization, range="none")
    return (by_background.raw(images.image(int(row)))[0][None] for row in rows)


@dataclass
class _Seen:
    """What is kept of the pairs of a test while they pass: metrics, spectra, the first images."""

    system: PairedGAN
    spectra: dict[str, list[Tensor]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    first: dict[str, list[Tensor]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    parameters: list[NDArray[np.float64]] = field(default_factory=list)

    def fakes(
        self, refiner: Refiner, data: PairedDataModule, part: Part, *, progress: bool
    ) -> Iterator[NDArray[np.float32]]:
        """Yield (B, N, N) background-normalized fakes of a part, and look at each pair once."""
        loader = data.evaluation_loader(part, batch_size=refiner.batch_size)
        # An export knows the sims alone: the CTF is theirs, which may differ from raw's by a tolerance.
        known = data.sim_images.metadata
        pairs = ({**pair, "metadata": rows_of(known, pair["index"])} for pair in loader)
        done = refiner.refine_batches(cast("Iterator[Pair]", pairs))
        for pair, fake in progress_bar(done, "testing", shown=progress, total=len(loader)):
            self._add(pair, fake)
            yield refiner.grey(fake)

    @torch.no_grad()
    def _add(self, pair: Pair, fake: Tensor) -> None:
        on_device: Pair = move_data_to_device(pair, fake.device)
        self.system.add_pairs(self.system.test_suite, on_device, fake)
        images = {"sim": on_device["sim"], "fake": fake, "raw": on_device["raw"]}
        wanted = _SHOWN - sum(len(images) for images in self.first["fake"])
        for kind, table in curves(images, self.system.objective.norm).items():
            self.spectra[kind].append(table)
            if wanted > 0:
                self.first[kind].append(images[kind][:wanted].cpu())
        self.parameters.append(pair["raw_parameters"].numpy())

    def write(self, folder: Path, box: int, pixel_size: float) -> None:
        """Write spectra, what undoes raw's normalization, and both figures."""
        tables = {kind: torch.cat(parts) for kind, parts in self.spectra.items()}
        np.savez(folder / "rpsd.npz", **{kind: table.numpy() for kind, table in tables.items()})  # type: ignore[arg-type]
        np.savetxt(
            folder / "normalization.csv",
            np.concatenate(self.parameters),
            delimiter=",",
            header=",".join(GreyMap._fields),
            comments="",
            fmt="%.9g",
        )
        images = {kind: torch.cat(parts) for kind, parts in self.first.items()}
        draw_panels(images, pixel_size, "").savefig(folder / "panels.png")
        draw_spectra(tables, box, pixel_size, "").savefig(folder / "spectra.png")
