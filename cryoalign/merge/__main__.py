"""``cryoalign merge out=DIR``: one STAR file of what the shards of a simulation or an export made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("merge")
def main(cfg: DictConfig) -> None:
    """Merge, and print the STAR files."""
    from cryoalign.merge.shards import merge  # noqa: PLC0415  heavy imports wait until work starts
    from cryoalign.runs.trust import trusted_names  # noqa: PLC0415

    for star in merge(Path(cfg.out), trust=trusted_names(cfg.trust), overwrite=cfg.overwrite):
        print(star)


if __name__ == "__main__":
    main()
