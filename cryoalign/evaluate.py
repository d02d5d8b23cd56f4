"""``python -m cryoalign.evaluate run=DIR``: test a trained run, and write its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("evaluate")
def main(cfg: DictConfig) -> float:
    """Evaluate, print the table, and return the RPSD L1 of the fakes."""
    from rich.console import Console  # noqa: PLC0415  heavy imports wait until work starts

    from cryoalign.evaluation import evaluate  # noqa: PLC0415
    from cryoalign.run import build_data, check_same_data, load_system, read_run  # noqa: PLC0415
    from cryoalign.table import metrics_table  # noqa: PLC0415

    run = read_run(cfg.run)
    system = load_system(run, cfg.checkpoint)
    data = build_data(run.cfg, run.normalization)
    check_same_data(run, data)
    out = Path(cfg.out) if cfg.out is not None else run.folder / f"{cfg.part}_{Path(cfg.checkpoint).stem}"
    values = evaluate(
        system,
        data,
        out,
        part=cfg.part,
        scale=cfg.scale,
        overwrite=cfg.overwrite,
        accelerator=cfg.accelerator,
        progress=cfg.progress,
    )
    console = Console(width=100)
    console.print(
        metrics_table(
            values, f"{cfg.part} set, {len(data.rows[cfg.part])} pairs, checkpoint {cfg.checkpoint}"
        )
    )
    console.print(f"figures, predictions and spectra are in {out}", soft_wrap=True, highlight=False)
    return values["RPSD_L1"]


if __name__ == "__main__":
    main()
