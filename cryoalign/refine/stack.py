"""Stacks of images on disk, with the metadata files that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.cryosparc.table import from_cryosparc
from cryoalign.io.cryosparc.write import write_cryosparc
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.relion import write_particles
from cryoalign.io.relion.read import ORIGINAL
from cryoalign.io.stack_files import StackFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.io.half_precision import Precision
    from cryoalign.particles import Particles


def write_stack(
    star: Path,
    images: Iterable[NDArray[np.float32]] | Callable[[int], Iterable[NDArray[np.float32]]],
    particles: Particles,
    *,
    box: int,
    pixel_size: float,
    original_names: ArrayLike | None = None,
    prefix: str = "",
    notes: Mapping[str, object] | None = None,
) -> Path:
    """Write images as an MRC stack with its STAR file, and of CryoSPARC's particles with a ``.cs`` file, too.

    Parameters
    ----------
    star : Path
        The STAR file; the others are named like it.
    images : iterable of (B, N, N) float32, or callable
        Batch by batch, in the order of `particles`. Of a callable, which returns those from a row on, a stack
        that was interrupted is continued.
    particles : Particles
        The particles that the images show. ``rlnParticleId`` names their rows in their own file.
    box : int
        N in px.
    pixel_size : float
        Of the images, in A.
    original_names : (n,) array_like of str, optional
        For ``rlnImageOriginalName``: of the raw images. Without it the names that `particles` have there, or
        else of their own images.
    prefix : str
        What stands before the stack's name in the STAR file.
    notes : mapping, optional
        What the images were refined with, for the STAR file.

    Returns
    -------
    Path
        The STAR file.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written.
    """
    write_images(star.with_suffix(".mrcs"), images, len(particles), box=box, pixel_size=pixel_size)
    files = StackFiles(star.stem, len(particles), len(particles))
    write_metadata(
        star,
        particles,
        files,
        box=box,
        pixel_size=pixel_size,
        original_names=original_names,
        prefix=prefix,
        notes=notes,
    )
    return star


def write_images(
    path: Path,
    images: Iterable[NDArray[np.float32]] | Callable[[int], Iterable[NDArray[np.float32]]],
    count: int,
    *,
    box: int,
    pixel_size: float,
    dtype: Precision = "float32",
) -> None:
    """Write images as an MRC stack.

    Parameters
    ----------
    path : Path
    images
        As in `write_stack`; of a stack that is there already they are not asked for.
    count : int
        How many there are.
    box, pixel_size
        As in `write_stack`.
    dtype : {"float32", "float16"}
        Of the pixels.
    """
    with StackWriter(path, count, box, pixel_size, resume=callable(images), dtype=dtype) as writer:
        if writer.written < count:
            for batch in images(writer.written) if callable(images) else images:
                writer.write(batch)


def write_metadata(
    star: Path,
    particles: Particles,
    files: StackFiles,
    *,
    box: int,
    pixel_size: float,
    original_names: ArrayLike | None = None,
    prefix: str = "",
    notes: Mapping[str, object] | None = None,
) -> None:
    """Write the STAR file of images that are in some files, and of CryoSPARC's particles a ``.cs`` file, too.

    Parameters
    ----------
    star : Path
    particles : Particles
    files : StackFiles
        Where their images are, in this order.
    box, pixel_size, original_names, prefix, notes
        As in `write_stack`.
    """
    if original_names is None:
        known = ORIGINAL in particles.table
        original_names = particles.table[ORIGINAL].to_numpy() if known else particles.image_name
    rows = np.arange(len(particles))
    write_particles(
        star,
        particles,
        image_names=files.image_names(rows, prefix),
        original_names=original_names,
        box=box,
        pixel_size=pixel_size,
        extra={"rlnParticleId": np.asarray(particles.row)},
        notes=notes,
        title="refinement",
    )
    if from_cryosparc(particles):
        cs = star.with_suffix(".cs")
        stack, slot = files.places(rows)
        write_cryosparc(cs, particles, stack=stack, slot=slot, box=box, pixel_size=pixel_size)
