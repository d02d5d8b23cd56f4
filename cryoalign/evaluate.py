"""``python -m cryoalign.evaluate run=DIR``, or ``fake= raw= sim=``: judge fakes beside raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoalign.command import command
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("evaluate")
def main(cfg: DictConfig) -> float:
    """Evaluate, print the verdicts, and return the RPSD L1 of the fakes."""
    from cryoalign.evaluation_of_run import evaluate_run  # noqa: PLC0415  heavy imports wait
    from cryoalign.evaluation_of_stacks import evaluate_stacks  # noqa: PLC0415

    if cfg.run is not None and cfg.fake is not None:
        raise InputError(
            "there are two things to judge", expected="either run= or fake=, raw= and sim=", found="both"
        )
    return evaluate_stacks(cfg) if cfg.run is None else evaluate_run(cfg)


if __name__ == "__main__":
    main()
