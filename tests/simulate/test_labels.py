"""Whose image each particle is: what measured particles say of their class, and what CryoSPARC is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.io.metadata import read_particles
from cryoalign.io.simulated import without_particle
from tests.io import cryosparc_files
from tests.simulate.commanded import BOX, PIXEL_SIZE, THROUGH_A_LENS

if TYPE_CHECKING:
    from tests.conftest import Cli

MAPS = "volume=[map.mrc,closed.mrc]"


@pytest.fixture(autouse=True)
def _maps(density: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("particles.star").write_text(THROUGH_A_LENS)
    mrcfile.write("closed.mrc", np.ascontiguousarray(1.5 * density[:, :, ::-1]), voxel_size=PIXEL_SIZE)


def of(cli: Cli, out: str, source: str, volume: str) -> np.ndarray:
    done = cli("simulate", f"particles={source}", volume, f"out={out}", "progress=false")
    assert done.code == 0, done.err
    return mrcfile.read(Path(out) / "sim.mrcs")


def test_measured_particles_say_their_class(cli: Cli) -> None:
    three = "volume=[map.mrc,closed.mrc,third.mrc]"
    mrcfile.write("third.mrc", mrcfile.read("map.mrc")[::-1], voxel_size=PIXEL_SIZE)
    made = of(cli, "three", "particles.star", three)
    for number, name in enumerate(("map.mrc", "closed.mrc", "third.mrc"), start=1):
        here = np.array([1, 2, 3, 1]) == number
        alone = of(cli, f"one_{number}", "particles.star", f"volume={name}")
        np.testing.assert_allclose(made[here], alone[here], atol=1e-4 * made.std())
    table = starfile.read("three/sim.star")["particles"]
    assert table["rlnReferenceImage"].tolist() == ["map.mrc", "closed.mrc", "third.mrc", "map.mrc"]
    options = ("particles=particles.star", MAPS, "out=two", "progress=false")
    done = cli("simulate", *options)
    assert done.code == 1
    assert "particles.star, row 3: rlnClassNumber is none of the 2 maps (1 of 4 rows)" in done.err
    assert "expected: 1 to 2" in done.err
    text = THROUGH_A_LENS.replace("_rlnClassNumber", "_rlnOther")
    Path("particles.star").write_text(text)
    done = cli("simulate", *options)
    assert (done.code, "the particles do not say which is theirs" in done.err) == (1, True)
    Path("particles.star").write_text(THROUGH_A_LENS.replace(" 7 3\n", " 7 0\n"))
    assert "row 3: rlnClassNumber is none" in cli("simulate", *options).err  # empty only where simulated
    Path("particles.star").write_text(THROUGH_A_LENS.replace(" 7 2\n", " 7 1\n").replace(" 7 3\n", " 7 1\n"))
    done = cli("simulate", *options)
    assert (done.code, "no particle is of 1 of the 2 maps, such as closed.mrc" in done.out + done.err) == (
        0,
        True,
    )


def test_cryosparcs_column(cli: Cli, tmp_path: Path) -> None:
    cryosparc_files.save(tmp_path / "J1.cs", cryosparc_files.particles(12, BOX, PIXEL_SIZE))
    done = cli("simulate", "like=J1.cs", MAPS, "empty=0.2", "count=40", "box=8", "out=new", "progress=false")
    assert done.code == 0, done.err
    folder = Path("new")
    star, cs = (read_particles(folder / name) for name in ("sim.star", "sim.cs"))
    for name in ("rlnClassNumber", "rlnReferenceImage"):
        assert cs.table[name].tolist() == star.table[name].tolist()
    numbers = star.table["rlnClassNumber"].to_numpy()
    assert cs.table["alignments3D/class"].tolist() == np.where(numbers == 0, 2, numbers - 1).tolist()
    assert without_particle(cs).tolist() == (numbers == 0).tolist()
    made = mrcfile.read(folder / "sim.mrcs")
    np.testing.assert_allclose(of(cli, "again", "new/sim.cs", MAPS), made, atol=1e-4 * made.std())


@pytest.mark.parametrize("word", ["shares=[0.5,0.5]", "empty=0.1"])
def test_labels_belong_to_new_particles(word: str, cli: Cli) -> None:
    done = cli("simulate", "particles=particles.star", MAPS, "out=new", word)
    assert (done.code, f"{word.partition('=')[0]} belongs to like=" in done.err) == (1, True)
