"""Are sims like those that a run was trained on? Of others its generator makes what no microscope would."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cryoalign.data.background_share import bright_share, some_images
from cryoalign.errors import InputError
from cryoalign.refine.grey_scale import other_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cryoalign.data.images import ParticleImages
    from cryoalign.runs.folder import Run

_log = logging.getLogger(__name__)

_CLEAR = 0.9  # of the images, for a contrast to be that of the set


def check_like_training(
    run: Run, images: ParticleImages, rows: NDArray[np.int64] | None = None, *, take: bool
) -> None:
    """Refuse sims that are unlike those of a run's training, or warn of them.

    Compared are whether they are CTF-premultiplied, whether particles are bright or dark, and mean and
    standard deviation of up to 100 images.

    Parameters
    ----------
    run : Run
    images : ParticleImages
        What is to be refined.
    rows : (n,) int64, optional
        Those to look at; all if not given.
    take : bool
        Warn only.

    Raises
    ------
    InputError
        If they are unlike, and not to be taken.
    """
    for found, expected, remedy in _differences(run, images, rows):
        if not take:
            raise InputError(
                "these sims are unlike those that the run was trained on",
                file=images.particles.source,
                expected=expected,
                found=found,
                remedy=f"{remedy}; unlike=take refines them nevertheless",
            )
        _log.warning(
            "%s: %s, where the run was trained on %s: the fakes will not look like raw images",
            images.particles.source, found, expected,
        )  # fmt: skip


def _differences(
    run: Run, images: ParticleImages, rows: NDArray[np.int64] | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what was found, what was expected, and what to do; of runs that state less, less is asked."""
    trained, given = run.data.get("premultiplied"), images.particles.optics_column("premultiplied").mean()
    if trained in (0, 1) and given != trained:
        states = ("images that are not CTF-premultiplied", "CTF-premultiplied images")
        found = states[1 - int(trained)] if given in (0, 1) else "images some of which are CTF-premultiplied"
        yield found, states[int(trained)], "simulate with rlnCtfDataAreCtfPremultiplied as in the training"
    if images.without_particle.all():  # of which nothing is to be compared
        return
    trained = run.data.get("bright_share")
    if trained is not None and max(trained, 1 - trained) >= _CLEAR:
        given = bright_share(images, rows)
        if (given > 0.5) != (trained > 0.5) and max(given, 1 - given) >= _CLEAR:
            tones = ("dark particles on a bright background", "bright particles on a dark background")
            yield tones[given > 0.5], tones[trained > 0.5], "multiply the stack, or the map, by -1"
    scale = other_scale(run.normalization, some_images(images, rows))
    if scale is not None:
        yield *scale, "simulate with a map of the grey values of the training's map"
