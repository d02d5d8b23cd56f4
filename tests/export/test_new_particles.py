"""New particles are refined like others, and who they are stays with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.io.relion import read_particles
from cryoalign.io.simulated import simulated_uids

if TYPE_CHECKING:
    from tests.conftest import Cli


def test_identity_and_origin_survive(run: Path, cli: Cli, tmp_path: Path) -> None:
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (sims,) = (file for file in files if file.name == "sim.star")
    volume = next(sims.parent.parent.rglob("*.mrc"))
    made = cli("simulate", f"like={sims}", "count=30", f"volume={volume}", "out=new", "progress=false")
    assert made.code == 0, made.err
    done = cli(
        "export", f"run={run}", "particles=new/sim.star", "out=refined", "names=project", "progress=false"
    )
    assert done.code == 0, done.err
    sim, fake = (read_particles(tmp_path / name) for name in ("new/sim.star", "refined/fake.star"))
    assert set(fake.stack) == {"refined/fake.mrcs"}
    uids = simulated_uids(sim)
    assert uids is not None
    assert uids.tolist() == simulated_uids(fake).tolist()
    for name in ("rlnOriginalParticleName", "rlnMicrographMovieName", "rlnReferenceImage", "rlnRandomSeed"):
        assert fake.table[name].tolist() == sim.table[name].tolist()
    assert fake.half.tolist() == sim.half.tolist()
