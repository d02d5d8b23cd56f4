"""``cryoalign export run=DIR particles=sim.star out=DIR``: refine a simulated stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("export")
def main(cfg: DictConfig) -> None:
    """Export, and print the STAR files."""
    from cryoalign.export.fakes import export_fakes  # noqa: PLC0415  heavy imports wait until work starts
    from cryoalign.refine.load import load_refiner  # noqa: PLC0415
    from cryoalign.runs.folder import read_run  # noqa: PLC0415
    from cryoalign.runs.generator import REFINING  # noqa: PLC0415
    from cryoalign.runs.trust import trusted_names  # noqa: PLC0415

    run = read_run(cfg.run, REFINING, trusted_names(cfg.trust))
    stars = export_fakes(
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
        workers=cfg.workers,
        overwrite=cfg.overwrite,
        progress=cfg.progress,
        picture=cfg.picture,
    )
    for star in stars:
        print(star)


if __name__ == "__main__":
    main()
