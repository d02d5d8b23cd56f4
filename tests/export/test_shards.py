"""An export cut into jobs: one seed, the same bytes, one STAR file of each draw."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.export.fakes import export_fakes
from cryoalign.io.file_plan import FilePlan
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.ownership import MARKER
from cryoalign.models.unet import UNet
from cryoalign.refine.refiner import Refiner
from tests.export.test_apart import BOX, COUNT, write_sims

if TYPE_CHECKING:
    from pathlib import Path

PER_FILE = 7


@pytest.fixture
def refiner() -> Refiner:
    torch.manual_seed(3)
    return Refiner(UNet(BOX, 4, noise_channels=1), Normalization(), seed=1, box=BOX, pixel_size=2.0)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MARKER}


def test_shards_read_one_seed_and_make_the_same_bytes(
    refiner: Refiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    star = write_sims(tmp_path / "a", "a")

    def made(seed: int | None = None, **plan: object) -> list[Path]:
        files = FilePlan(PER_FILE, **plan)  # type: ignore[arg-type]
        return export_fakes(refiner, star, tmp_path / "cut", draws=2, seed=seed, plan=files, progress=False)

    for shard in (2, 0):
        assert made(shards=3, shard=shard) == []
    write = StackWriter.write

    def stopped(self: StackWriter, images: np.ndarray) -> None:
        if self.path.name == "fake_draw02_000002.mrcs":
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(shards=3, shard=1)
    monkeypatch.setattr(StackWriter, "write", write)
    with pytest.raises(InputError, match=r"no fake_draw01_000003.mrcs, fake_draw02_000002.mrcs"):
        made(merging=True)
    made(shards=3, shard=1)
    stars = made(merging=True)
    assert [star.name for star in stars] == ["fake_draw01.star", "fake_draw02.star"]
    cut = content(tmp_path / "cut")
    (tmp_path / "cut").rename(tmp_path / "moved")
    seed = json.loads(cut.pop("provenance.json"))["seed"]
    made(seed)
    whole = content(tmp_path / "cut")
    del whole["provenance.json"]
    assert whole == cut
    assert sorted(cut) == sorted(
        [*(f"fake_draw0{draw}_{number:06d}.mrcs" for draw in (1, 2) for number in (1, 2, 3, 4)),
         "fake_draw01.star", "fake_draw02.star"]
    )  # fmt: skip
    assert COUNT == 3 * PER_FILE + 3


AT_ONCE = """
import sys
from pathlib import Path
from cryoalign.export.seed import stored_seed
print(flush=True)
sys.stdin.readline()
print(stored_seed(Path(sys.argv[1]), None, {"who": sys.argv[2]}))
"""


def test_jobs_that_begin_at_once_draw_one_seed(tmp_path: Path) -> None:
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(tmp_path), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for job in jobs:
        assert job.stdout is not None
        assert job.stdout.readline() == "\n"
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("go\n")
        job.stdin.flush()
    seeds = {job.communicate(timeout=60)[0] for job in jobs}
    assert len(seeds) == 1
    assert int(seeds.pop()) == json.loads((tmp_path / "provenance.json").read_text())["seed"]
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]


def test_a_merge_of_an_export(run: Path, tmp_path: Path, cli: object) -> None:
    from tests.export.test_command import sims

    words = (
        "export",
        f"run={run}",
        f"particles={sims(run)}",
        "out=cut",
        "progress=false",
        "images_per_file=8",
    )
    done = cli(*words, "shards=2", "shard=range(2)", "-m")  # type: ignore[operator]
    assert (done.code, done.out) == (0, ""), done.err
    done = cli("merge", "out=cut")  # type: ignore[operator]
    assert (done.code, done.out) == (0, f"{tmp_path / 'cut' / 'fake.star'}\n"), done.err
    assert len(list((tmp_path / "cut").glob("fake_*.mrcs"))) > 1
