"""What a run writes goes through RELION's programs without complaint, from its own folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.io.relion import read_particles

if TYPE_CHECKING:
    from tests.conftest import Cli

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]


def goes_through(folder: Path, out: Path, name: str = "fake") -> None:
    """Reconstruct from a stack and copy its metadata, with RELION in the stack's own folder."""
    for command in (
        ("relion_reconstruct", "--i", f"{name}.star", "--o", str(out / "map.mrc"), "--ctf"),
        ("relion_star_handler", "--i", f"{name}.star", "--o", str(out / "copy.star")),
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert not re.search("warning|error", said, re.IGNORECASE), said
    ours, theirs = read_particles(folder / f"{name}.star"), read_particles(out / "copy.star")
    np.testing.assert_array_equal(theirs.image_name, ours.image_name)
    np.testing.assert_allclose(theirs.angles, ours.angles, atol=1e-3)
    assert theirs.table["rlnImageOriginalName"].tolist() == ours.table["rlnImageOriginalName"].tolist()
    with mrcfile.open(out / "map.mrc") as volume:
        assert volume.data.shape == (32, 32, 32)
        assert float(volume.voxel_size.x) == pytest.approx(7.08, rel=1e-4)
        assert volume.data.std() > 0


def test_export(run: Path, cli: Cli, tmp_path: Path) -> None:
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (sims,) = (file for file in files if file.name == "sim.star")
    done = cli("export", f"run={run}", f"particles={sims}", "out=exported", "progress=false")
    assert done.code == 0, done.err
    goes_through(tmp_path / "exported", tmp_path)


@pytest.mark.parametrize("kind", ["sim", "fake", "raw"])
def test_predictions_of_the_test(kind: str, run: Path, tmp_path: Path) -> None:
    goes_through(run / "test", tmp_path, kind)
