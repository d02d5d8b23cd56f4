"""An export as the command line asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.export.fakes import export_fakes
from cryoalign.io.file_plan import FilePlan
from cryoalign.refine.load import load_refiner
from cryoalign.runs.folder import read_run
from cryoalign.runs.generator import REFINING
from cryoalign.runs.trust import trusted_names

if TYPE_CHECKING:
    from omegaconf import DictConfig


def export(cfg: DictConfig, *, merging: bool = False) -> list[Path]:
    """Refine what a configuration asks for.

    Parameters
    ----------
    cfg : DictConfig
        Of the command.
    merging : bool
        Write the metadata of what its shards made.

    Returns
    -------
    list of Path
        The STAR files; none of a shard.
    """
    run = read_run(cfg.run, REFINING, trusted_names(cfg.trust))
    return export_fakes(
        load_refiner(run, cfg.checkpoint, cfg.device),
        Path(cfg.particles),
        Path(cfg.out),
        run=run,
        measured=cfg.measured,
        unlike=cfg.unlike,
        reading={name: run.cfg.data[name] for name in ("resample", "check_header")},
        root=None if cfg.root is None else Path(cfg.root),
        passthrough=cfg.passthrough,
        names=cfg.names,
        draws=cfg.draws,
        seed=cfg.seed,
        origin={"run": str(run.folder), "checkpoint": cfg.checkpoint},
        plan=FilePlan.of(cfg, "export", merging=merging),
        workers=cfg.workers,
        overwrite=cfg.overwrite,
        progress=cfg.progress,
        picture=cfg.picture,
    )
