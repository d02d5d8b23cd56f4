"""Gather the evaluations of this study: results.csv and results.md, from the folder that run.sh filled.

$ python experiments/0003_referee/results.py [outputs/0001]
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cryoalign.evaluate.digits import interval_text, number
from cryoalign.evaluate.document import MAIN

HERE = Path(__file__).parent
SETS = {
    "krios": "krios_bgal, 64 px",
    "ribosome": "ribosome_10499, 32 px, split by tomogram",
    "ribosome_tilts": "ribosome_10499, 32 px, split by tilt image",
    "embedded": "embedded, 64 px",
}
ORDER = (
    "identity",
    "white_noise",
    "spectral",
    "GAN without RPSD",
    "GAN with RPSD",
    "GAN with RPSD and a noise map",
)
#: Column, measure, quantity, and whether its floor is shown too.
COLUMNS = (
    ("RPSD excess", "spectrum", "rpsd_l1_excess"),
    ("mean curves' excess", "spectrum", "mean_rpsd_l1_excess"),
    ("content", "content", "content_ratio"),
    ("defocus error (%)", "ctf", "thon_error"),
    ("pose error (degree)", "pose", "pose_angle"),
    ("noise of two draws", "noise", "repeated_noise"),
    ("AUC, spectra", "two_sample", "auc_spectrum"),
    ("AUC, CNN", "two_sample", "auc_cnn"),
)


def arm(run: Path) -> str:
    """Name what a run is."""
    cfg = OmegaConf.load(run / "config.yaml")
    kind = str(cfg.generator["_target_"]).rpartition(".")[2]
    names = {"Identity": "identity", "WhiteNoise": "white_noise", "Spectral": "spectral"}
    if kind in names:
        return names[kind]
    with_rpsd = "with RPSD" if float(cfg.loss.weights.rpsd) > 0 else "without RPSD"
    return f"GAN {with_rpsd}" + (" and a noise map" if int(cfg.generator.noise_channels) else "")


def read(folder: Path) -> list[dict[str, Any]]:
    """Read one entry a run: its data set, arm, and what was found."""
    found = []
    for path in sorted(folder.glob("*/*/held_out_last/evaluation.json")):
        run = path.parents[1]
        document = json.loads(path.read_text(encoding="utf-8"))
        measures = document["candidates"][MAIN]["measures"]
        data = run.parent.name.removesuffix("_baselines").removesuffix("_noise")
        found.append(
            {"data": data, "arm": arm(run), "pairs": document["facts"]["pairs"], "measures": measures}
        )
    return sorted(found, key=lambda entry: (list(SETS).index(entry["data"]), ORDER.index(entry["arm"])))


def quantity(entry: dict[str, Any], measure: str, key: str) -> dict[str, Any] | None:
    """Look up what was measured, if it was."""
    found: dict[str, Any] | None = entry["measures"].get(measure, {}).get("quantities", {}).get(key)
    return found


def cell(entry: dict[str, Any], measure: str, key: str) -> str:
    """Write the value of the fake with its interval."""
    found = quantity(entry, measure, key)
    if found is None or found["fake"]["value"] is None:
        return ""
    value = found["fake"]
    bounds = [float("nan") if value[bound] is None else value[bound] for bound in ("low", "high")]
    return interval_text(value["value"], *bounds)


def answers(entry: dict[str, Any]) -> dict[str, str]:
    """Return the verdict of every question."""
    return {
        key: answer["verdict"]
        for measure in entry["measures"].values()
        for key, answer in measure["answers"].items()
    }


def tables(found: list[dict[str, Any]]) -> str:
    """Lay out in Markdown the numbers of each data set with their floors, and the verdicts."""
    lines = []
    for data, title in SETS.items():
        entries = [entry for entry in found if entry["data"] == data]
        if not entries:
            continue
        lines += [f"### {title}, {entries[0]['pairs']} held-out pairs", ""]
        lines += ["| fake | " + " | ".join(name for name, *_ in COLUMNS) + " | failed | undecided |"]
        lines += ["|---" * (len(COLUMNS) + 3) + "|"]
        for entry in entries:
            verdicts = answers(entry)
            lists = [
                ", ".join(k for k, v in verdicts.items() if v == verdict) for verdict in ("fail", "undecided")
            ]
            cells = [cell(entry, measure, key) for _, measure, key in COLUMNS]
            lines.append("| " + " | ".join([entry["arm"].replace("_", " "), *cells, *lists]) + " |")
        floors = []
        for _, measure, key in COLUMNS:
            known = [q["floor"] for entry in entries if (q := quantity(entry, measure, key)) and q["floor"]]
            floors.append(number(known[0]["value"]) if known and known[0]["value"] is not None else "")
        lines += ["| *raw (floor)* | " + " | ".join(floors) + " | | |", ""]
    return "\n".join(lines)


def main(folder: Path) -> None:
    """Write both files."""
    found = read(folder)
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["data", "fake", "measure", "quantity", "value", "low", "high", "floor", "ceiling"])
        for entry in found:
            for measure, content in entry["measures"].items():
                for key, one in content["quantities"].items():
                    sides = [(one[side] or {}).get("value") for side in ("floor", "ceiling")]
                    values = [*(one["fake"][bound] for bound in ("value", "low", "high")), *sides]
                    shown = ["" if value is None else f"{value:.4g}" for value in values]
                    writer.writerow([entry["data"], entry["arm"], measure, key, *shown])
    (HERE / "results.md").write_text(tables(found))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/0001"))
