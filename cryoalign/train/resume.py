"""An interrupted run goes on: with its own configuration, data and checkpoint, and new limits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from cryoalign.errors import InputError
from cryoalign.io.output import atomic_write
from cryoalign.runs.folder import check_same_data, read_run
from cryoalign.train.closed_form import refuse_continuing
from cryoalign.train.loggers import first_process

if TYPE_CHECKING:
    from cryoalign.data.datamodule import PairedDataModule
    from cryoalign.runs.folder import Run

_log = logging.getLogger(__name__)
#: What may differ when a run is continued: its limits.
_LIMITS = ("trainer.max_steps", "trainer.max_time")


def interrupted_run(folder: str) -> Run:
    """Read the run to be continued, with the limits that were given anew.

    Raises
    ------
    InputError
        If it cannot be continued, or anything but its limits was given.
    """
    given = [override for override in HydraConfig.get().overrides.task if not override.startswith("resume=")]
    run = read_run(folder)
    refuse_continuing(run)
    for override in given:
        key, _, value = override.lstrip("+").partition("=")
        if key not in _LIMITS:
            raise InputError(
                f"{key} cannot change when a run is continued",
                file=run.folder,
                expected=" or ".join(_LIMITS),
                found=override,
                remedy="leave it out, or start a new run",
            )
        OmegaConf.update(
            run.cfg, key, OmegaConf.create({"value": value}).value if key != _LIMITS[0] else int(value)
        )
    return run


def check_continued(run: Run, data: PairedDataModule, begun: int) -> None:
    """Check that a run can go on from a step, and store its configuration with the new limits.

    Raises
    ------
    InputError
        If the data are others, or it has reached its last step.
    """
    check_same_data(run, data)
    if begun >= run.cfg.trainer.max_steps:
        raise InputError(
            "this run has reached its last step",
            file=run.folder,
            expected=f"trainer.max_steps above {begun}",
            found=run.cfg.trainer.max_steps,
            remedy=f"give a higher limit, e.g. trainer.max_steps={2 * begun}",
        )
    if first_process():
        with atomic_write(run.folder / "config.yaml") as path:
            OmegaConf.save(run.cfg, path, resolve=True)
        _log.info("continuing %s at step %d", run.folder, begun)
