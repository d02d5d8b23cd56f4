"""The table of a test: sim, fake and another raw image against raw, as text, JSON and CSV."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from rich.table import Table

from cryoalign.io.output import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MEASURES = {
    "RPSD_L1": "RPSD L1",
    "RPSD_MSE": "RPSD MSE",
    "pixel_L1": "pixel L1",
    "pixel_MSE": "pixel MSE",
}
_CAPTION = (
    "Distances to raw. 'other raw' is another raw image of like defocus: "
    "RPSD cannot be expected to fall below it. "
    "Pixel distances favour images without noise, however unlike raw they are."
)
_NO_OTHER = "This part holds no other raw image."
_COLUMNS = {"sim_": "sim", "": "fake", "floor_": "other raw"}
_SINGLE = {
    "ring_correlation": "ring correlation of fake with sim",
    "D_raw": "mean D(raw)",
    "D_fake": "mean D(fake)",
}


def metrics_table(values: Mapping[str, float], title: str) -> Table:
    """Lay out metrics for the terminal.

    Parameters
    ----------
    values : mapping
        As `cryoalign.metrics.suite.PairedSuite` names them, without prefix.
    title : str

    Returns
    -------
    rich.table.Table
    """
    known = any(f"floor_{key}" in values for key in _MEASURES)
    table = Table(title=title, caption=_CAPTION if known else f"{_CAPTION} {_NO_OTHER}")
    table.add_column("measure")
    for column in _COLUMNS.values():
        table.add_column(column, justify="right")
    for key, name in _MEASURES.items():
        cells = [f"{values[prefix + key]:.4f}" if prefix + key in values else "-" for prefix in _COLUMNS]
        table.add_row(name, *cells)
    table.add_section()
    for key, name in _SINGLE.items():
        if key in values:
            table.add_row(name, "", f"{values[key]:.4f}", "")
    return table


def write_metrics(folder: Path, values: Mapping[str, float]) -> None:
    """Write ``metrics.json`` and ``metrics.csv``.

    Parameters
    ----------
    folder : Path
    values : mapping
        Name to value.
    """
    with atomic_write(folder / "metrics.json") as path:
        path.write_text(json.dumps(dict(values), indent=2) + "\n")
    with atomic_write(folder / "metrics.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["metric", "value"])
        writer.writerows(values.items())
