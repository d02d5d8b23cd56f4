"""A tested run, as a comparison knows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoalign.cli.flatten import flatten
from cryoalign.report.run_result import History, RunResult
from cryoalign.runs.names import value_text

BASE = {
    "seed": 1,
    "resume": None,
    "paths": {"outputs": "outputs"},
    "data": {"seed": 1, "raw": "raw.star", "workers": 0, "box": 64},
    "loss": {"weights": {"gan": 1.0, "rpsd": 0.5}, "rpsd": {"norm": "backward"}},
    "generator": {"_target_": "cryoalign.models.unet.UNet", "width": 24},
    "discriminator": {"_target_": "cryoalign.models.patchgan.PatchGAN", "width": 64},
    "optimizer": {"algorithm": {"lr": 2e-4, "betas": [0.5, 0.999]}},
}


def texts(tree: dict) -> dict[str, str]:
    """A configuration as a run keeps it, flat."""
    return {key: value_text(value) for key, value in flatten(tree).items()}


def make(name: str, seed: int = 1, metrics: dict | None = None, **changes) -> RunResult:
    """A run that differs from `BASE` in its seed and in some keys, dots written as ``__``."""
    config = texts(BASE) | {"seed": str(seed), "data.seed": str(seed), "paths.outputs": name}
    config |= texts({key.replace("__", "."): value for key, value in changes.items()})
    line = History(np.array([10.0, 20.0]), np.array([1.0, 0.5 + seed / 10]))
    level = History(np.array([10.0, 20.0]), np.array([2.0, 2.0]))
    return RunResult(
        folder=Path(name),
        config=config,
        seed=str(seed),
        metrics={"RPSD_L1": 0.4 + seed / 10, "floor_RPSD_L1": 0.25} if metrics is None else metrics,
        curves={"RPSD_L1": line, "sim_RPSD_L1": level},
        spectra={kind: np.full(33, float(seed)) for kind in ("sim", "fake", "raw")},
        box=64,
        pixel_size=3.54,
        images="same",
        files=("a", "b"),
        code="abc",
        evaluation=None,
    )
