"""An export cut into jobs: one seed, the same bytes, one STAR file of each draw."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.errors import InputError
from cryoalign.export.fakes import export_fakes
from cryoalign.io.file_plan import FilePlan
from cryoalign.io.metadata import read_rows
from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.ownership import MARKER
from cryoalign.io.relion import read_particles, write_particles
from cryoalign.io.simulated import MAPS
from cryoalign.models.unet import UNet
from cryoalign.refine.refiner import Refiner
from tests.export.test_apart import BOX, COUNT, GENERATORS, write_sims

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


def of_stacks(folder: Path, count: int) -> Path:
    """Sims in two stacks, of which the second and the last are the same in everything but their images."""
    star = write_sims(folder, "a")
    whole = read_particles(star)
    order = np.arange(count)
    order[-1] = 1
    particles = whole.take(order)
    stack = np.where(np.arange(count) < 15, "sim.mrcs", "more.mrcs")
    shutil.copy(folder / "sim.mrcs", folder / "more.mrcs")
    write_particles(star, replace(particles, stack=stack, slot=np.arange(count)), notes={MAPS: "a"})
    return star


def test_a_shard_reads_its_own_rows(
    refiner: Refiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that decide its noise, and those by which all sims are judged."""
    star = of_stacks(tmp_path / "a", COUNT)
    refiner = replace(refiner, generator=GENERATORS["closed form"]())
    rows: list[list[int]] = []

    def noted(*given: object, **options: object) -> object:
        found = read_rows(*given, **options)  # type: ignore[arg-type]
        rows.append([] if found is None else (found.particles.row - 1).tolist())
        return found

    monkeypatch.setattr("cryoalign.export.sims.read_rows", noted)
    monkeypatch.setattr("cryoalign.data.background_share._IMAGES", 3)

    def made(out: str, **plan: object) -> None:
        files = FilePlan(PER_FILE, **plan)  # type: ignore[arg-type]
        export_fakes(refiner, star, tmp_path / out, draws=2, seed=5, plan=files, progress=False)

    made("whole")
    assert rows == []
    for shard in range(5):
        made("cut", shards=5, shard=shard)
    judged = [0, 1, 11, COUNT - 1]  # the second and the last are one particle
    own = [range(7), range(14), range(7, 14), range(14, 21), range(21, 24)]
    assert rows == [sorted({*judged, *part}) for part in own]
    made("cut", merging=True)
    cut, whole = (content(tmp_path / name) for name in ("cut", "whole"))
    for made_of in (cut, whole):
        del made_of["provenance.json"]  # which has its time
    assert cut == whole


@pytest.mark.parametrize("change", ["optics", "stack"])
def test_what_a_shard_cannot_know_of_its_rows(refiner: Refiner, tmp_path: Path, change: str) -> None:
    """Another group's pixel size decides the images of all; a stack of other rows is missed by every job."""
    star = of_stacks(tmp_path / "a", COUNT)
    if change == "stack":
        (tmp_path / "a" / "more.mrcs").unlink()
    else:
        particles = read_particles(star)
        index = (np.arange(COUNT) == COUNT - 1).astype(np.int64)
        optics = (particles.optics[0], replace(particles.optics[0], group=2, pixel_size=3.0))
        write_particles(star, replace(particles, optics=optics, optics_index=index))
    plan = FilePlan(PER_FILE, shards=4, shard=0)
    with pytest.raises(InputError) as refused:
        export_fakes(refiner, star, tmp_path / "cut", plan=plan, progress=False)
    assert (refused.value.row, refused.value.file) == (16 if change == "stack" else COUNT, star)


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
