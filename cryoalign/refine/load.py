"""The generator of a run, ready to refine sims."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cryoalign.cli import choose_device
from cryoalign.refine.refiner import Refiner
from cryoalign.runs.folder import read_run
from cryoalign.runs.generator import REFINING, load_generator
from cryoalign.runs.trust import trusted_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryoalign.runs.folder import Run


def load(
    run_folder: str | Path,
    checkpoint: str = "last",
    *,
    device: str = "auto",
    trust: str | type | Sequence[str | type] = (),
) -> Refiner:
    """Load the generator of a run.

    Only the configuration and the weights are read: the training data need not be there. Nothing is built but
    the generator, and nothing but a generator of cryoalign or a class in `trust`: the folder may come from
    somebody else.

    Parameters
    ----------
    run_folder : str or Path
        The folder that ``cryoalign train`` made, e.g. ``outputs/train/2026-01-31_12-00-00-000000``.
    checkpoint : str
        ``last``, ``best``, or the name of a file in its ``checkpoints``.
    device : str
        Where the generator runs: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``.
    trust : str or type, or several
        Classes, or their full names, that the run may name besides: a generator of your own.

    Returns
    -------
    Refiner
        Its method `refine` turns sims into fakes; `box` and `pixel_size` say which sims.

    Raises
    ------
    InputError
        If the folder holds no run, or one whose generator is neither known nor trusted, or the checkpoint is
        missing or of another configuration.

    Examples
    --------
    >>> import cryoalign
    >>> generator = cryoalign.load("outputs/train/RUN")  # doctest: +SKIP
    >>> fake = generator.refine(sim, seed=5)  # doctest: +SKIP
    """
    run = read_run(run_folder, REFINING, trusted_names(trust))
    return load_refiner(run, checkpoint, device)


def load_refiner(run: Run, checkpoint: str, device: str) -> Refiner:
    """Return the generator of a run with the run's normalization and seed, and the size of its images."""
    return Refiner(
        load_generator(run, checkpoint),
        run.normalization,
        seed=int(run.cfg.seed),
        box=int(run.data["box"]),
        pixel_size=float(run.data["pixel_size"]),
        device=choose_device(device),
        threads=torch.get_num_threads(),
    )
