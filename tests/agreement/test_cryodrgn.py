"""cryoDRGN's parsers read new particles as what they are. Skipped where it is not installed."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoalign.io.relion import read_particles, write_particles
from cryoalign.particles import Optics
from tests.agreement.conftest import phantom, random_particles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

pytestmark = pytest.mark.skipif(shutil.which("cryodrgn") is None, reason="cryoDRGN is not installed")

COUNT, BOX, PIXEL_SIZE = 200, 16, 4.0


def test_poses_and_ctf(cli: Cli, tmp_path: Path) -> None:
    optics = (
        Optics(1, "krios", PIXEL_SIZE, 300.0, 2.7, 0.1, BOX),
        Optics(2, "talos", 5.0, 200.0, 2.0, 0.07, BOX),
    )
    folder = tmp_path / "two words"  # among the settings; names of images and maps cannot hold blanks
    folder.mkdir()
    mrcfile.write(tmp_path / "map.mrc", phantom(BOX), voxel_size=PIXEL_SIZE)
    mrcfile.write(tmp_path / "other.mrc", phantom(BOX, 1), voxel_size=PIXEL_SIZE)
    write_particles(folder / "run_data.star", random_particles(60, *optics), box=BOX)
    maps = "volume=[map.mrc,other.mrc]"
    like = f"like='{folder}/run_data.star'"
    done = cli("simulate", like, f"count={COUNT}", maps, "shares=[0.7,0.3]", "out=new", "progress=false")
    assert done.code == 0, done.err
    found = []
    for command, name in (("parse_pose_star", "poses.pkl"), ("parse_ctf_star", "ctf.pkl")):
        words = ["cryodrgn", command, "new/sim.star", "-o", name]
        parsed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, parsed.stderr
        found.append(pickle.loads((tmp_path / name).read_bytes()))  # noqa: S301  made a line above
    (rotations, translations), lens = found
    ours = read_particles(tmp_path / "new/sim.star")
    pixel_size = ours.optics_column("pixel_size")
    matrices = Rotation.from_euler("ZYZ", ours.angles, degrees=True).as_matrix()
    np.testing.assert_allclose(rotations, matrices.transpose(0, 2, 1), atol=1e-9)
    np.testing.assert_allclose(translations, ours.shift / pixel_size[:, None] / BOX, atol=1e-7)
    columns = ("voltage", "spherical_aberration", "amplitude_contrast")
    wanted = [
        np.full(COUNT, BOX), pixel_size, *ours.defocus.T, *map(ours.optics_column, columns), ours.phase_shift
    ]  # fmt: skip
    np.testing.assert_allclose(lens, np.column_stack(wanted), rtol=1e-6)
