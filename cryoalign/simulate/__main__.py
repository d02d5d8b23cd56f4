"""``cryoalign simulate particles=X.star volume=Y.mrc out=DIR``: an image of each particle, or of new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.cli import command
from cryoalign.simulate.subjects import check_subjects

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("simulate")
def main(cfg: DictConfig) -> None:
    """Simulate, and print the STAR file."""
    from cryoalign.cli.job import given_words  # noqa: PLC0415  heavy imports wait until work starts

    check_subjects(cfg, given_words())
    from cryoalign.simulate.job import simulate  # noqa: PLC0415

    star = simulate(cfg)
    if star is not None:
        print(star)


if __name__ == "__main__":
    main()
