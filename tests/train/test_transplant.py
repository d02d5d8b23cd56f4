"""The noise of other particles through the command lines."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import starfile

from tests.conftest import SMALL, Cli


def test_a_transplant_is_exported_with_a_warning_and_judged_as_a_baseline(
    cli: Cli, cache: Path, tmp_path: Path
) -> None:
    """The residuals are in its checkpoint; test, export and evaluation give the same fakes."""
    done = cli(
        "train", "generator=transplant", *SMALL, f"paths.cache={cache}", "hydra.run.dir=run", "audit=off"
    )
    assert done.code == 0, done.err
    assert "the noise of 48 training images, 0 MiB" in done.out + done.err
    sources = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]
    (sims,) = (name for name in sources if name.endswith("sim.star"))
    done = cli("export", "run=run", f"particles={sims}", "out=new", "draws=2", "seed=1", "progress=false")
    assert done.code == 0, done.err
    assert "reuses the noise of real training images" in done.err
    assert "all draws are alike" not in done.err
    first, second = (mrcfile.read(tmp_path / "new" / f"fake_draw0{draw}.mrcs") for draw in (1, 2))
    assert (np.abs(first - second).std(axis=(1, 2)) > 0.5).all()
    names = starfile.read(tmp_path / "new" / "fake_draw01.star")["particles"]["rlnImageOriginalName"].tolist()
    tested = starfile.read(tmp_path / "run" / "test" / "fake.star")["particles"]["rlnImageOriginalName"]
    np.testing.assert_array_equal(
        first[[names.index(name) for name in tested]], mrcfile.read(tmp_path / "run" / "test" / "fake.mrcs")
    )
    done = cli(
        "train", "generator=identity", *SMALL, f"paths.cache={cache}", "hydra.run.dir=other", "audit=off"
    )
    assert done.code == 0, done.err
    options = ["part=train", "measures=[noise]", "draws=100", "progress=false", "device=cpu"]
    done = cli("evaluate", "run=other", "out=judged", "baselines=[transplant]", *options)
    assert done.code == 0, done.err
    candidate = json.loads((tmp_path / "judged" / "evaluation.json").read_text())["candidates"]["transplant"]
    assert candidate["measures"]["noise"]["answers"]["copied"]["verdict"] == "pass"
