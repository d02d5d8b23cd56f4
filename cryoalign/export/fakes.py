"""Refine a simulated stack of any size with a trained generator."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cryoalign.cli.limits import MOST_WORKERS
from cryoalign.data.images import SAME_PIXEL_SIZE, ParticleImages
from cryoalign.errors import InputError, choice, within
from cryoalign.export.neighbours import write_neighbours
from cryoalign.export.picture import draw_refined
from cryoalign.export.seed import stored_seed
from cryoalign.export.sims import read_sims
from cryoalign.export.simulated import refuse_measured
from cryoalign.export.training_sims import check_like_training
from cryoalign.io.file_plan import FilePlan
from cryoalign.io.fingerprint import fingerprint
from cryoalign.io.metadata import passthrough_files
from cryoalign.io.neighbour_table import neighbour_table
from cryoalign.io.stack_files import StackFiles, file_lock
from cryoalign.io.stack_names import stack_prefix
from cryoalign.refine.arrays import checked_number
from cryoalign.refine.stack import write_images, write_metadata
from cryoalign.runs.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoalign.export.sims import Sims
    from cryoalign.io.stack_names import Names
    from cryoalign.refine.refiner import Refiner
    from cryoalign.runs.folder import Run

    #: From rows of the whole table to those of the images that were read.
    _Places = Callable[[NDArray[np.int64]], NDArray[np.int64]]

_log = logging.getLogger(__name__)

_ONE = FilePlan()


def export_fakes(
    refiner: Refiner,
    star: Path,
    out: Path,
    *,
    run: Run | None = None,
    measured: Literal["refuse", "take"] = "refuse",
    unlike: Literal["refuse", "take"] = "refuse",
    reading: Mapping[str, Any] | None = None,
    root: Path | None = None,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    names: Names = "folder",
    draws: int = 1,
    seed: int | None = None,
    origin: Mapping[str, object] | None = None,
    plan: FilePlan = _ONE,
    workers: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    picture: bool = False,
) -> list[Path]:
    """Turn a simulated stack into fakes, batch by batch.

    Grey values are background-normalized, as raw images of the training set are. One that was interrupted is
    continued by the next with the same generator, sims and options, with the same seed.

    Parameters
    ----------
    refiner : Refiner
        Of a run.
    star : Path
        STAR or ``.cs`` file of the simulated stack.
    out : Path
        Folder to make: ``fake.mrcs`` and ``fake.star``, or ``fake_draw01.mrcs``, ... where `draws` is above
        1, and ``fake_000001.mrcs``, ... of more images than a file holds; of a ``.cs`` also ``fake.cs``,
        which keeps the uids; of sims with a table of their neighbours ``fake_neighbours.star``.
    run : Run, optional
        The run: the stack is held against what it was trained on.
    measured : {"refuse", "take"}
        What becomes of a stack that is not simulated.
    unlike : {"refuse", "take"}
        What becomes of sims that are unlike those of the training in their grey scale, their contrast or as
        to whether they are CTF-premultiplied.
    reading : mapping, optional
        ``resample`` and ``check_header`` of `cryoalign.data.images.ParticleImages`.
    root : Path, optional
        Folder that the stack names are relative to.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of the simulated stack.
    names : {"folder", "project"}
        Where the stack names of the STAR files start: in their own folder, or in the working directory.
    draws : int
        How many fakes of each sim; they differ only for a generator with noise maps or dropout.
    seed : int, optional
        Of the noise; by default drawn for this output, which states it in ``provenance.json`` and in the STAR
        files.
    origin : mapping, optional
        What these files state of the generator besides.
    plan : FilePlan
        How many images a file holds, of which type, and which files are made: the metadata only with all of
        them.
    workers : int
        Processes that read sims; 0 reads here.
    overwrite : bool
        Replace a folder of an earlier export.
    progress : bool
        Show a progress bar.
    picture : bool
        Draw ``gallery.png``, too, of the first draw: some fakes, spectra, views and defocus.

    Returns
    -------
    list of Path
        The STAR files; none of a shard.

    Raises
    ------
    InputError
        If the stack has another field of view than the run's images, or fewer pixels, is measured or unlike
        the run's sims, or `out` exists.
    """
    _check(draws=draws, workers=workers, measured=measured, unlike=unlike)
    given = None if seed is None else checked_number("seed", seed)
    others, prefix = passthrough_files(passthrough), stack_prefix(out, names)
    sims = read_sims(star, others, root, plan, draws)
    images, stacks = _in_the_runs_box(refiner, sims, reading or {}), sims.stacks.values()
    _refuse_constant(refiner, images)
    if run is not None and measured == "refuse":
        refuse_measured(run, images, sims.stacks, sims.judged)
    if run is not None:
        check_like_training(run, images, sims.judged, take=unlike == "take")
    _warn_of_noise(refiner, draws)
    stems = ["fake"] if draws == 1 else [f"fake_draw{draw + 1:02d}" for draw in range(draws)]
    beside = [path] if (path := neighbour_table(star)).is_file() else []
    files = [StackFiles(stem, sims.total, plan.per_file) for stem in stems]
    inputs = [star, *others, *stacks, *beside]
    made = [[one.as_list() for one in files], plan.dtype]
    one_file = sims.total <= plan.per_file  # of more, every job would read the images of all the others
    contents = [
        fingerprint(stacks, whole=one_file),
        fingerprint([star, *others, *beside], whole=True),
    ]
    identity = _identity(refiner, [contents, reading, draws, given, names, origin, made])
    stated = {**provenance(), **(origin or {}), "sims": str(star)}
    with plan.place(out, identity, files, overwrite=overwrite, inputs=inputs) as folder:
        stored = stored_seed(folder, given, stated)
        seeded, options = replace(refiner, seed=stored), {"workers": workers, "progress": progress}
        _write_images(folder, seeded, images, sims.places, stacks=files, plan=plan, **options)
        if plan.is_shard:
            return []
        for draw, one in enumerate(files):
            notes = {"cryoalign": version("cryoalign"), **(origin or {}), "seed": stored, "draw": draw}
            _write_tables(folder, images, one, prefix=prefix, notes=notes)
        if picture:
            draw_refined(folder, files[0], images, run)
    return [out / f"{stem}.star" for stem in stems]


def _write_tables(
    folder: Path, images: ParticleImages, files: StackFiles, *, prefix: str, notes: Mapping[str, object]
) -> None:
    """Write the metadata of one draw, and of what lies beside its particles."""
    star = folder / f"{files.stem}.star"
    box, pixel_size = images.box, images.pixel_size
    write_metadata(star, images.particles, files, box=box, pixel_size=pixel_size, prefix=prefix, notes=notes)
    write_neighbours(star, images, files, prefix=prefix, notes=notes)


def _check(*, draws: int, workers: int, measured: str, unlike: str) -> None:
    """Refuse options out of their range."""
    within("draws", draws, 1, remedy="leave it out for one fake of each sim")
    within("workers", workers, 0, MOST_WORKERS)
    choice("measured", measured, ("refuse", "take"))
    choice("unlike", unlike, ("refuse", "take"))


def _warn_of_noise(refiner: Refiner, draws: int) -> None:
    """Warn of draws that are alike, and of noise that is not the generator's own."""
    if draws > 1 and not refiner.generator.is_random:
        _log.warning("this generator has neither noise maps nor dropout at inference: all draws are alike")
    if refiner.generator.reuses_noise:
        _log.warning(
            "this generator reuses the noise of real training images: its fakes are no new images, and what "
            "is trained on them has seen that noise; generator=spectral makes noise of its own"
        )


def _refuse_constant(refiner: Refiner, images: ParticleImages) -> None:
    """Refuse images without a particle that are constant, where a range is brought to that of the network."""
    empty = np.flatnonzero(images.without_particle)
    if refiner.normalization.range == "none":
        return
    row = next((row for row in empty.tolist() if not np.ptp(images.image(row))), None)
    if row is not None:
        raise InputError(
            "images without a particle are constant, and this run brings each image's range to [-1, 1]",
            file=images.particles.source,
            row=int(images.particles.row[row]),
            expected="rlnClassNumber above 0, or a run with data.normalization.range=none",
            found=f"rlnClassNumber 0 in {len(empty)} rows",
            remedy="leave these rows out, or simulate with a solvent or a detector",
        )


def _write_images(
    folder: Path,
    refiner: Refiner,
    images: ParticleImages,
    places: _Places,
    *,
    stacks: Sequence[StackFiles],
    plan: FilePlan,
    **options: Any,
) -> None:
    """Write the files of a plan: those of all draws of some sims, then of the next ones."""
    every = [(number, draw) for number in range(len(stacks[0])) for draw in range(len(stacks))]
    for number, draw in (every[place] for place in plan.files(len(every))):
        part = stacks[draw].images(number)
        path = folder / stacks[draw].names[number]
        known = {"draw": draw, "label": path.stem, **options}
        with file_lock(path) if plan.is_shard else nullcontext():
            write_images(
                path,
                partial(_fakes_from, refiner, images, known, places(np.arange(part.start, part.stop))),
                part.stop - part.start,
                box=images.box,
                pixel_size=images.pixel_size,
                dtype=plan.dtype,
            )


def _fakes_from(
    refiner: Refiner,
    images: ParticleImages,
    options: Mapping[str, Any],
    rows: NDArray[np.int64],
    first: int,
) -> Iterator[NDArray[np.float32]]:
    if first:
        _log.info("continuing behind the first %d of %d images", first, len(rows))
    return refiner.refine_images(images, rows[first:], **options)


def _identity(refiner: Refiner, decides: Sequence[object]) -> str:
    """Return a hash of all that decides the fakes but for a seed that is drawn."""
    facts = [version("cryoalign"), asdict(refiner.normalization), *decides]
    digest = sha256(json.dumps(facts, sort_keys=True).encode())
    for name, values in refiner.generator.state_dict().items():
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()


def _in_the_runs_box(refiner: Refiner, sims: Sims, reading: Mapping[str, Any]) -> ParticleImages:
    """Bring images of the run's field of view to its box; refuse others, and those of fewer pixels."""
    images = ParticleImages(sims.particles, sims.stacks, **reading)
    box, pixel_size = refiner.box, refiner.pixel_size
    field, wanted = images.box * images.pixel_size, box * pixel_size
    if images.box < box or abs(field / wanted - 1) > SAME_PIXEL_SIZE:
        raise InputError(
            "the generator was trained on other images",
            file=sims.particles.source,
            expected=f"box {box} px at {pixel_size:.4f} A/px ({wanted:.4g} A), or more pixels in this field",
            found=f"box {images.box} px at {images.pixel_size:.4f} A/px ({field:.4g} A)",
            remedy="simulate at the box and pixel size of the training data",
        )
    if images.box == box:
        return images
    _log.info(
        "sims of %d px at %.4f A/px are Fourier-cropped to the run's %d px at %.4f A/px",
        images.box, images.pixel_size, box, field / box,
    )  # fmt: skip
    return ParticleImages(sims.particles, sims.stacks, box=box, **reading)
