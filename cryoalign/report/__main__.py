"""``cryoalign report runs='outputs/sweep/NAME/*'``: compare runs of a sweep or an ablation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("report")
def main(cfg: DictConfig) -> None:
    """Read the runs, print the table of their arms and write the page."""
    from omegaconf import OmegaConf  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.io.output import staged  # noqa: PLC0415
    from cryoalign.io.table import print_whole  # noqa: PLC0415
    from cryoalign.report.arms import compare  # noqa: PLC0415
    from cryoalign.report.find_runs import find_runs  # noqa: PLC0415
    from cryoalign.report.tables import summary_table  # noqa: PLC0415
    from cryoalign.report.verdicts import tallies  # noqa: PLC0415
    from cryoalign.report.write import PAGE, notes, summary, write_comparison  # noqa: PLC0415
    from cryoalign.runs.provenance import provenance  # noqa: PLC0415

    patterns = [str(entry) for entry in (cfg.runs if OmegaConf.is_list(cfg.runs) else [cfg.runs])]
    found = find_runs(patterns)
    comparison = compare(found.runs)
    out = Path(cfg.out)
    title = cfg.title or f"Comparison of {', '.join(patterns)}"
    inputs = [run.folder / "config.yaml" for run in found.runs]
    with staged(out, cfg.overwrite, inputs) as folder:
        write_comparison(folder, comparison, title=title, left_out=found.left_out, facts=provenance())
    console = Console(width=120)
    print_whole(console, summary_table(comparison, "test set"))
    said = (summary(comparison), *tallies(comparison), *notes(comparison))
    for line in (*said, *(f"left out: {entry}" for entry in found.left_out)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"the page is {out / PAGE}", soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    main()
