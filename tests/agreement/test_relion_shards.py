"""RELION opens the STAR file of what several jobs made, each some files; and what it says of float16."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from tests.simulate.commanded import BOX, PIXEL_SIZE, STAR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

pytestmark = [
    pytest.mark.relion,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]
WORDS = ("particles=particles.star", "volume=map.mrc", "progress=false", "images_per_file=3")


@pytest.fixture(autouse=True)
def measured(tmp_path: Path) -> None:
    """A map, and ten particles of all sides."""
    rng = np.random.default_rng(0)
    blobs = np.zeros((BOX,) * 3, dtype=np.float32)
    blobs[8:16, 8:16, 8:16] = rng.normal(1, 0.3, size=(8, 8, 8))
    mrcfile.write(tmp_path / "map.mrc", blobs, voxel_size=PIXEL_SIZE)
    head = STAR.split("000003@", maxsplit=1)[0].replace(" 0 1.0 ", " 2.7 0.1 ")
    rows = [f"{row + 1:06d}@a.mrcs a.mrc {37 * row} {17 * row} 0 0 0 9000 9000 0 7 1\n" for row in range(10)]
    (tmp_path / "particles.star").write_text(head + "".join(rows))


def reconstructed(folder: Path) -> tuple[int, str]:
    command = ("relion_reconstruct", "--i", "sim.star", "--o", "map.mrc", "--ctf")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_files_of_shards(cli: Cli, tmp_path: Path) -> None:
    for shard in (1, 0):
        assert cli("simulate", *WORDS, "out=cut", "shards=2", f"shard={shard}").code == 0
    assert cli("merge", "out=cut").code == 0
    assert cli("simulate", *WORDS, "out=one", "images_per_file=10").code == 0
    maps = []
    for name in ("cut", "one"):
        code, said = reconstructed(tmp_path / name)
        assert code == 0, said
        assert not re.search("warning|error", said, re.IGNORECASE), said
        maps.append(mrcfile.read(tmp_path / name / "map.mrc"))
    np.testing.assert_allclose(*maps, atol=1e-4 * maps[1].std())


def test_float16(cli: Cli, tmp_path: Path) -> None:
    """RELION 3 refuses it, as the warning says; later ones read it."""
    done = cli("simulate", *WORDS, "out=half", "dtype=float16")
    assert done.code == 0
    assert "RELION 3 cannot" in done.out + done.err
    code, said = reconstructed(tmp_path / "half")
    version = subprocess.run(("relion_reconstruct", "--version"), capture_output=True, text=True, check=False)
    old = re.search(r"version:? *3\.", version.stdout + version.stderr) is not None
    assert (code != 0) == old, said
