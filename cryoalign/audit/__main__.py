"""``cryoalign audit sim=X.star raw=Y.star``: tests whether these are pairs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import command
from cryoalign.errors import within

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("audit")
def main(cfg: DictConfig) -> None:
    """Test the pairs and print the verdict; exit with 0 (they agree), 2 (wrong, and how) or 3 (not known)."""
    from rich.console import Console  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.audit.check import check_pairs  # noqa: PLC0415
    from cryoalign.audit.report import audit_table, report_lines, write_report  # noqa: PLC0415
    from cryoalign.audit.sample import read_sample  # noqa: PLC0415
    from cryoalign.audit.verdict import conclude  # noqa: PLC0415
    from cryoalign.io.output import staged  # noqa: PLC0415

    within("sample", cfg.sample, 0, remedy="sample=0 takes all pairs")
    within("radius", cfg.radius, above=0, most=1)
    inputs = {"sim": str(cfg.sim), "raw": str(cfg.raw)}
    place = None if cfg.out is None else Path(cfg.out)
    with (
        nullcontext()
        if place is None
        else staged(place, cfg.overwrite, [Path(path) for path in inputs.values()]) as folder
    ):
        sample = read_sample(
            cfg.sim,
            cfg.raw,
            root=cfg.root,
            passthrough=cfg.passthrough,
            count=cfg.sample,
            progress=cfg.progress,
        )
        evidence = check_pairs(sample, radius=cfg.radius, poses=cfg.poses, progress=cfg.progress)
        verdict = conclude(evidence)
        if folder is not None:
            write_report(folder, verdict, evidence, inputs)
    console = Console(width=120)
    console.print(audit_table(evidence, every=cfg.all))
    for line in report_lines(verdict, evidence):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if verdict.exit_code:
        raise SystemExit(verdict.exit_code)


if __name__ == "__main__":
    main()
