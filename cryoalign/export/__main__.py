"""``cryoalign export run=DIR particles=sim.star out=DIR``: refine a simulated stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import choose_device, command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("export")
def main(cfg: DictConfig) -> None:
    """Export, and print the STAR files."""
    from cryoalign.export.stack import refine_stack  # noqa: PLC0415  heavy imports wait until work starts
    from cryoalign.runs.folder import read_run  # noqa: PLC0415
    from cryoalign.train.build import load_system  # noqa: PLC0415

    run = read_run(cfg.run)
    stars = refine_stack(
        run,
        load_system(run, cfg.checkpoint),
        Path(cfg.particles),
        Path(cfg.out),
        root=None if cfg.root is None else Path(cfg.root),
        passthrough=cfg.passthrough,
        draws=cfg.draws,
        batch_size=cfg.batch_size,
        workers=cfg.workers,
        device=choose_device(cfg.device),
        overwrite=cfg.overwrite,
        progress=cfg.progress,
    )
    for star in stars:
        print(star)


if __name__ == "__main__":
    main()
