"""The picture beside fakes: what is in their stack, and what the run's test has of the measurement."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.errors import InputError
from cryoalign.io.relion import read_particles
from cryoalign.io.simulated import CLASS, MAP
from cryoalign.simulate.picture import Images, draw_picture, measured_images

if TYPE_CHECKING:
    from pathlib import Path

    from cryoalign.data.images import ParticleImages
    from cryoalign.io.stack_files import StackFiles
    from cryoalign.particles import Particles
    from cryoalign.runs.folder import Run

_log = logging.getLogger(__name__)


def draw_refined(folder: Path, files: StackFiles, images: ParticleImages, run: Run | None) -> None:
    """Draw the picture of fakes.

    Parameters
    ----------
    folder : Path
        Of their stack.
    files : StackFiles
        That the stack is in.
    images : ParticleImages
        Their sims.
    run : Run, optional
        The raw images of its test are shown beside, if there are any.
    """
    particles = images.particles
    rows = np.arange(len(particles))
    classes = None
    if CLASS in particles.table and MAP in particles.table:
        classes = particles.table[CLASS].to_numpy(dtype=np.int64)
    raw = None if run is None else _test_particles(run)
    measured = None if raw is None else measured_images(raw, images.box, None)
    draw_picture(
        folder,
        {
            "fake": Images(rows, files.reader(folder)),
            "sim": Images(rows, images.image),
            **({} if measured is None else {"raw": measured}),
        },
        {"fake": particles, **({} if raw is None else {"raw": raw})},
        images.pixel_size,
        classes=classes,
        note="" if raw is None else "; raw images are those of the run's test",
    )


def _test_particles(run: Run) -> Particles | None:
    """Return the measured particles of a run's test, None if they are not there."""
    star = run.folder / "test" / "raw.star"
    if not star.is_file():
        return None
    try:
        return read_particles(star)
    except InputError as error:
        _log.debug("the picture has nothing measured beside it: %s", error)
        return None
