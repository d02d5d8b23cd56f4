"""Gather the runs of this study: results.csv, results.md and the figures, from the folder that run.sh filled.

$ python experiments/0001_first_real_run/collect.py [outputs/0001]
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf

HERE = Path(__file__).parent
SETS = {"embedded": "embedded", "krios": "krios_bgal, 64 px", "ribosome": "ribosome_10499, 32 px"}
_KINDS: dict[str, type] = {"data": str, "seed": int, "noise_channels": int}
MEASURES = (
    "ring_correlation",
    *(f"{kind}{name}" for name in ("RPSD_L1", "pixel_L1") for kind in ("", "sim_", "floor_")),
)


def last_validation(run: Path) -> dict[str, float]:
    """Values of the last validation of a run."""
    with (run / "csv" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/RPSD_L1")]
    return {name: float(rows[-1][f"val/{name}"]) for name in MEASURES} | {"step": float(rows[-1]["step"])}


def read(folder: Path) -> list[dict[str, object]]:
    """One row a run: its data set, arm and seed, its last validation and its test."""
    found: list[dict[str, object]] = []
    for path in sorted(folder.glob("*/*/test/metrics.json")):
        run = path.parents[1]
        cfg = OmegaConf.load(run / "config.yaml")
        test = json.loads(path.read_text())
        found.append(
            {
                "data": run.parent.name.removesuffix("_noise"),
                "w_rpsd": float(cfg.loss.weights.rpsd),
                "noise_channels": int(cfg.generator.noise_channels),
                "seed": int(cfg.seed),
                **{f"val_{name}": value for name, value in last_validation(run).items()},
                **{f"test_{name}": test[name] for name in MEASURES},
            }
        )
    return found


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def summary(rows: list[dict[str, object]]) -> str:
    """Markdown: validation RPSD L1 of each arm beside sim and the floor."""
    arms = {"with": (0.5, 0), "without": (0.0, 0), "with, noise map": (0.5, 1)}
    lines = [
        "| data | arm | runs | fake | sim | fake / sim | other raw (floor) | ring correlation with sim |",
        "|---|---|---|---|---|---|---|---|",
    ]
    differences = []
    for key, name in SETS.items():
        seeds: dict[str, dict[int, float]] = {}
        for arm, (weight, noise) in arms.items():
            wanted = (key, weight, noise)
            chosen = [r for r in rows if (r["data"], r["w_rpsd"], r["noise_channels"]) == wanted]
            if not chosen:
                continue
            column = {m: [float(str(r[f"val_{m}"])) for r in chosen] for m in MEASURES}
            seeds[arm] = {int(str(r["seed"])): float(str(r["val_RPSD_L1"])) for r in chosen}
            ratio = [fake / sim for fake, sim in zip(column["RPSD_L1"], column["sim_RPSD_L1"], strict=True)]
            cells = [
                name,
                arm,
                str(len(chosen)),
                spread(column["RPSD_L1"]),
                f"{mean(column['sim_RPSD_L1']):.3f}",
                spread(ratio),
                f"{mean(column['floor_RPSD_L1']):.3f}",
                spread(column["ring_correlation"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        both = seeds.get("with", {}).keys() & seeds.get("without", {}).keys()
        if both:
            values = [seeds["with"][seed] - seeds["without"][seed] for seed in sorted(both)]
            differences.append(f"| {name} | {spread(values)} |")
    return "\n".join([*lines, "", "| data | with minus without |", "|---|---|", *differences]) + "\n"


def _collected() -> list[dict[str, object]]:
    """Rows of data sets that were collected before."""
    path = HERE / "results.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [
            {name: _KINDS.get(name, float)(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def main(folder: Path) -> None:
    """Write results.csv, results.md and figures/; sets that are not in the folder keep their rows."""
    rows = read(folder)
    renewed = {row["data"] for row in rows}
    rows += [row for row in _collected() if row["data"] not in renewed]
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = summary(rows)
    (HERE / "results.md").write_text(text)
    (HERE / "figures").mkdir(exist_ok=True)
    for first in sorted(folder.glob("*/0*/test")):  # of each sweep
        sweep = first.parent.parent
        for kind in ("panels", "spectra"):
            target = HERE / "figures" / f"{sweep.name}_{kind}.png"
            shutil.copyfile(first / f"{kind}.png", target)
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/0001"))
