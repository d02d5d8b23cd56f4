"""The closed form through the command lines: trained, exported, loaded, the same fakes each time."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import starfile

from cryoalign.io.metadata import read_particles
from cryoalign.refine.load import load
from tests.conftest import SMALL, Cli


def test_a_fit_of_the_closed_form_is_exported_and_loaded(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli(
        "train", "generator=physical", *SMALL, f"paths.cache={cache}", "hydra.run.dir=run", "audit=off"
    )
    assert done.code == 0, done.err
    lines = (done.out + done.err).splitlines()
    assert any(
        "noise of skewed grey values (skewness): left out" in line and len(line) < 170 for line in lines
    )
    run = tmp_path / "run"
    sources = json.loads((run / "provenance.json").read_text())["data"]
    (sims,) = (Path(name) for name in sources if name.endswith("sim.star"))
    done = cli("export", "run=run", f"particles={sims}", "out=new", "seed=1", "progress=false", "device=cpu")
    assert done.code == 0, done.err
    exported = mrcfile.read(tmp_path / "new" / "fake.mrcs")
    names = starfile.read(tmp_path / "new" / "fake.star")["particles"]["rlnImageOriginalName"].tolist()
    tested = starfile.read(run / "test" / "fake.star")["particles"]["rlnImageOriginalName"]
    rows = [names.index(name) for name in tested]
    np.testing.assert_array_equal(exported[rows], mrcfile.read(run / "test" / "fake.mrcs"))
    loaded = load(run, device="cpu").refine(
        mrcfile.read(sims.with_suffix(".mrcs")), particles=read_particles(sims)
    )
    assert loaded.tobytes() == exported.tobytes()
