"""``python -m cryoalign.simulate particles=X.star volume=Y.mrc out=DIR``: an image for each particle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.command import choose_device, command
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("simulate")
def main(cfg: DictConfig) -> None:
    """Simulate, and print the STAR file."""
    from cryoalign.io.relion import read_particles  # noqa: PLC0415  heavy imports wait until work starts
    from cryoalign.simulation.stack import simulate_stack  # noqa: PLC0415

    if cfg.batch_size < 1:
        raise InputError("batch_size is out of range", expected="1 or more", found=cfg.batch_size)
    star = simulate_stack(
        read_particles(cfg.particles),
        Path(cfg.volume),
        Path(cfg.out),
        volume_pixel_size=cfg.volume_pixel_size,
        box=cfg.box,
        root=None if cfg.root is None else Path(cfg.root),
        ignore_aberrations=cfg.ignore_aberrations,
        batch_size=cfg.batch_size,
        device=choose_device(cfg.device),
        overwrite=cfg.overwrite,
        progress=cfg.progress,
    )
    print(star)


if __name__ == "__main__":
    main()
