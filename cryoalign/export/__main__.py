"""``cryoalign export run=DIR particles=sim.star out=DIR``: refine a simulated stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("export")
def main(cfg: DictConfig) -> None:
    """Export, and print the STAR files."""
    from cryoalign.export.job import export  # noqa: PLC0415  heavy imports wait until work starts

    for star in export(cfg):
        print(star)


if __name__ == "__main__":
    main()
