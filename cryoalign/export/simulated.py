"""Is a stack simulated? Of a measured one a generator makes what looks right and means nothing."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoalign.data.background_share import background_share
from cryoalign.errors import InputError
from cryoalign.io.simulated import is_of_cryoalign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoalign.data.images import ParticleImages
    from cryoalign.particles import Particles
    from cryoalign.runs.folder import Run

_log = logging.getLogger(__name__)

_APART = 0.3  # of the shares of a run's sims and raws, for a difference to say anything
_MEASURED = 0.75  # of the way from sims to raws


def refuse_measured(
    run: Run,
    images: ParticleImages,
    stacks: Mapping[str, Path],
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Refuse a stack that is measured, as far as that can be told.

    That is one that the run was trained on as raw, by file or by the names of its images, or one as noisy as
    the run's raw images where its sims were much cleaner, unless its metadata state how cryoalign simulated
    it.

    Parameters
    ----------
    run : Run
    images : ParticleImages
        What is to be refined.
    stacks : mapping of str to Path
        Where their stacks lie.
    rows : (n,) int64, optional
        Those to look at; all if not given.

    Raises
    ------
    InputError
        If the stack is not simulated.
    """
    particles = images.particles
    if _is_raw_of(run, particles if rows is None else particles.take(rows), stacks):
        raise _error(particles.source, "images that the run was trained on as measured ones")
    shares = run.data.get("background_share")
    if not isinstance(shares, dict) or is_of_cryoalign(particles.source) or images.without_particle.all():
        return
    sim, raw, found = float(shares["sim"]), float(shares["raw"]), background_share(images, rows)
    if raw - sim > _APART and found > sim + _MEASURED * (raw - sim):
        raise _error(
            particles.source,
            f"images as noisy as measured ones: {found:.2f} of their variance is in the background, "
            f"{raw:.2f} in the run's raw images",
            f"simulated ones: {sim:.2f} in the run's",
        )


def _error(source: Path, found: str, expected: str = "simulated ones") -> InputError:
    return InputError(
        "this stack seems to be measured, not simulated",
        file=source,
        expected=expected,
        found=found,
        remedy="give the simulated stack, e.g. sim.star; measured=take refines it nevertheless",
    )


def _is_raw_of(run: Run, particles: Particles, stacks: Mapping[str, Path]) -> bool:
    """Return whether these are the run's raw images: their metadata file, or their names and stacks."""
    given = run.cfg.data.get("raw")
    if given is not None and Path(given).resolve() == particles.source.resolve():
        return True
    try:
        read = json.loads((run.folder / "provenance.json").read_text(encoding="utf-8"))["data"]
        with (run.folder / "split.csv").open(newline="", encoding="utf-8") as file:
            names = {row["rlnImageName"] for row in csv.DictReader(file)}
        files = {Path(path).resolve() for path in read}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # described otherwise: by the images, then
        return False
    if not files.issuperset(path.resolve() for path in stacks.values()):
        return False
    return bool(2 * np.isin(particles.image_name, list(names)).sum() > len(particles))
