"""The truth of what lies beside new particles goes with them to their fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.io.neighbour_table import neighbour_table, places_in_image, read_neighbours
from cryoalign.io.relion import write_particles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryoalign.data.images import ParticleImages
    from cryoalign.io.stack_files import StackFiles


def write_neighbours(
    star: Path,
    images: ParticleImages,
    files: StackFiles,
    *,
    prefix: str = "",
    notes: Mapping[str, object] | None = None,
) -> None:
    """Write the neighbours' table of fakes, if there is one beside their sims.

    Parameters
    ----------
    star : Path
        The STAR file of the fakes.
    images : ParticleImages
        Their sims, row by row, in the box and at the pixel size of the fakes.
    files : StackFiles
        That the fakes are in.
    prefix, notes
        As of `cryoalign.refine.stack.write_stack`.

    Raises
    ------
    InputError
        If the table cannot be read, or the place cannot be written.
    """
    found = read_neighbours(images.particles)
    if found is None or not len(found[1]):
        return
    neighbours, here = found
    write_particles(
        neighbour_table(star),
        neighbours,
        image_names=files.image_names(here, prefix),
        box=images.box,
        pixel_size=images.pixel_size,
        extra=places_in_image(neighbours, images.box, images.pixel_size),
        notes=notes,
        title="refinement",
    )
