"""Train with and without the RPSD term and print one table of both.

$ python experiments/ablation.py                          the demo
$ python experiments/ablation.py seed=1,2,3               the demo, three seeds each
$ python experiments/ablation.py data=stars data.sim=... data.raw=...

Every argument is one of ``python -m cryoalign.train -m``; the weight of the RPSD term is swept over 0.05 and
0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

MEASURES = {
    "RPSD_L1": "RPSD L1",
    "RPSD_MSE": "RPSD MSE",
    "pixel_L1": "pixel L1",
    "pixel_MSE": "pixel MSE",
    "ring_correlation": "ring correlation",
}
REFERENCES = {"sim_": "sim", "floor_": "other raw"}


def main(overrides: list[str]) -> int:
    """Run the sweep and print the table."""
    folder = Path("outputs/ablation") / datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S-%f")
    experiment = [] if any("experiment=" in override for override in overrides) else ["+experiment=demo"]
    weights = (
        [] if any("loss.weights.rpsd" in override for override in overrides) else ["loss.weights.rpsd=0.5,0"]
    )
    command = [
        sys.executable,
        "-m",
        "cryoalign.train",
        "-m",
        *experiment,
        *weights,
        f"hydra.sweep.dir={folder}",
        *overrides,
    ]
    failed = subprocess.run(command, check=False).returncode
    if failed:
        return failed
    results: dict[float, list[dict[str, float]]] = {}
    for path in sorted(folder.glob("*/test/metrics.json")):
        weight = float(OmegaConf.load(path.parents[1] / "config.yaml").loss.weights.rpsd)
        results.setdefault(weight, []).append(json.loads(path.read_text()))
    Console(width=110).print(table(results))
    print(f"runs in {folder}")
    return 0


def table(results: dict[float, list[dict[str, float]]]) -> Table:
    """One column a weight (mean and spread over runs), beside sim and the floor."""
    weights = sorted(results, reverse=True)
    drawn = Table(title="test set: distance to raw, with and without the RPSD term")
    for name in ("measure", "sim", *(f"fake, w_rpsd = {weight:g}" for weight in weights), "other raw"):
        drawn.add_column(name, justify="left" if name == "measure" else "right")
    first = results[weights[0]][0]
    for key, name in MEASURES.items():
        ends = [f"{first[prefix + key]:.4f}" if prefix + key in first else "" for prefix in REFERENCES]
        drawn.add_row(
            name, ends[0], *(_cell([run[key] for run in results[weight]]) for weight in weights), ends[1]
        )
    return drawn


def _cell(values: list[float]) -> str:
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
