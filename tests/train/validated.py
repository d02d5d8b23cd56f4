"""What several processes have validated, held against one process with the same pairs and weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli, read_csv

#: Pairs to validate whose number is odd: one of two processes has one more, and none may be counted twice.
PAIRS_OF_TWO_PROCESSES = [
    "data.embedded.particles=57", "data.split.fractions={train: 0.6, validation: 0.3, test: 0.1}",
    "data.batch_size=2",
]  # fmt: skip


def assert_validated_as_by_one(run: Path, cli: Cli) -> None:
    """Evaluate the last checkpoint of a run in this process, and find the numbers of its last validation."""
    assert json.loads((run / "data.json").read_text())["pairs"]["validation"] % 2
    logged = [row for row in read_csv(run) if "val/RPSD_L1" in row][-1]
    options = ("part=validation", "device=cpu", "progress=false", "measures=[]")
    done = cli("evaluate", f"run={run}", *options)
    assert done.code == 0, done.err
    alone = json.loads((run / "validation_last" / "metrics.json").read_text())
    assert {"RPSD_L1", "RPSD_MSE", "pixel_L1", "pixel_MSE"} <= alone.keys()
    for name, value in alone.items():
        assert float(logged[f"val/{name}"]) == pytest.approx(value, rel=1e-6, abs=1e-6), name
