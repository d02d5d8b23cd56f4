"""The second table of new particles: who else lies in their images, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.coordinates import COORDINATES
from cryoalign.io.metadata import read_particles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoalign.particles import Particles

_ENDING = "_neighbours.star"


def neighbour_table(metadata: Path) -> Path:
    """Return where the neighbours' table of some images is, or would be: beside their own.

    Parameters
    ----------
    metadata : Path
        STAR or ``.cs`` file of the images, as ``sim.star``.
    """
    return metadata.with_name(f"{metadata.stem}{_ENDING}")


def places_in_image(
    particles: Particles, box: ArrayLike, pixel_size: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Return the columns that tell where neighbours lie in an image.

    Parameters
    ----------
    particles : Particles
        N neighbours. Their origins are minus their places, from the centre of the image.
    box : int or (N,) array_like of int
        Side of the image in px.
    pixel_size : float or (N,) float
        In A.

    Returns
    -------
    dict of str to (N,) float64
        ``rlnCoordinateX`` and ``rlnCoordinateY`` in px, from 0; the centre is pixel ``box // 2``.
    """
    half = np.broadcast_to(np.asarray(box) // 2, len(particles))
    places = half[:, None] - particles.shift / np.broadcast_to(pixel_size, len(particles))[:, None]
    return dict(zip(COORDINATES[:2], places.T, strict=True))


def read_neighbours(images: Particles) -> tuple[Particles, NDArray[np.int64]] | None:
    """Read the neighbours of images from the table beside theirs.

    Parameters
    ----------
    images : Particles
        N images.

    Returns
    -------
    neighbours : Particles
        Those in the images, in the order of these.
    here : (P,) int64
        0-based row of each one's image in `images`.

        None where there is no such table.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = neighbour_table(images.source)
    if not path.is_file():
        return None
    table = read_particles(path)
    known = {name: row for row, name in enumerate(_names(images))}
    here = np.array([known.get(name, -1) for name in _names(table)], dtype=np.int64)
    order = np.argsort(here, kind="stable")
    order = order[here[order] >= 0]
    return table.take(order), here[order]


def has_neighbour(images: Particles) -> NDArray[np.bool_]:
    """Return (N,) whether a neighbour is known to lie in each image, or within half a box of its edges.

    Parameters
    ----------
    images : Particles
        N images; their neighbours are read from the table beside theirs, if there is one.

    Raises
    ------
    InputError
        If that cannot be read.
    """
    found = read_neighbours(images)
    reached = np.zeros(len(images), dtype=np.bool_)
    if found is not None:
        neighbours, here = found
        box = neighbours.optics_column("box_size") * neighbours.optics_column("pixel_size")
        reached[here[np.abs(neighbours.shift).max(axis=1) < box]] = True
    return reached


def _names(particles: Particles) -> list[tuple[int, str]]:
    """Return number and stack of each image, without the folders, which depend on who wrote the name."""
    return [
        (slot, stack.rpartition("/")[2])
        for slot, stack in zip(particles.slot.tolist(), particles.stack.tolist(), strict=True)
    ]
