"""``cryoalign train``: train a generator on simulated and measured particles, then test it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("train")
def main(cfg: DictConfig) -> float:
    """Train, test, print the table, and return the monitored value to a sweeper."""
    from cryoalign.train.session import train  # noqa: PLC0415  torch and lightning load only when work starts

    return train(cfg)


if __name__ == "__main__":
    main()
