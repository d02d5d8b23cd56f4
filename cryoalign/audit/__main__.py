"""``cryoalign audit sim=X.star raw=Y.star``: tests whether these are pairs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("audit")
def main(cfg: DictConfig) -> None:
    """Test the pairs and print the verdict; exit with 0 (they agree), 2 (wrong, and how) or 3 (not known)."""
    from rich.console import Console  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.audit.pairs import audit_pairs  # noqa: PLC0415
    from cryoalign.audit.report import print_table, write_report  # noqa: PLC0415
    from cryoalign.io.output import staged  # noqa: PLC0415

    inputs = {"sim": str(cfg.sim), "raw": str(cfg.raw)}
    place = None if cfg.out is None else Path(cfg.out)
    with (
        nullcontext()
        if place is None
        else staged(place, cfg.overwrite, [Path(path) for path in inputs.values()]) as folder
    ):
        found = audit_pairs(
            cfg.sim,
            cfg.raw,
            root=cfg.root,
            passthrough=cfg.passthrough,
            missing_ctf=cfg.missing_ctf,
            pixel_size=cfg.pixel_size,
            check_header=cfg.check_header,
            sample=cfg.sample,
            radius=cfg.radius,
            poses=cfg.check_poses,
            progress=cfg.progress,
        )
        if folder is not None:
            write_report(folder, found.conclusion, found.evidence, inputs)
    console = Console()
    print_table(console, found.evidence, every=cfg.all)
    console.print(str(found), soft_wrap=True, highlight=False, markup=False)
    if found.conclusion.exit_code:
        raise SystemExit(found.conclusion.exit_code)


if __name__ == "__main__":
    main()
