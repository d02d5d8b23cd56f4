"""A simulation cut into jobs: the same bytes, whoever makes which files, and a kill loses nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import starfile

from cryoalign.errors import InputError
from cryoalign.io.file_plan import FilePlan
from cryoalign.io.metadata import read_rows
from cryoalign.io.mrc import MrcStack, StackWriter
from cryoalign.io.ownership import MARKER
from cryoalign.io.relion import read_particles
from cryoalign.io.stack_files import StackFiles
from tests.simulate.commanded import STAR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

NEW = ("volume=map.mrc", "progress=false", "images_per_file=3", "batch_size=2", "solvent=none")
MEASURED = ("particles=ten.star", *NEW)
LIKE = ("like=ten.star", "count=10", "volume=[map.mrc,other.mrc]", "shares=[0.7,0.3]", *NEW[1:])


@pytest.fixture(autouse=True)
def ten(density: np.ndarray, tmp_path: Path) -> None:
    """Ten particles, and another map."""
    head, _ = STAR.split("_rlnClassNumber #12\n")
    lines = "".join(
        f"{row:06d}@gone/a.mrcs a.mrc {7 * row} {20 * row} {3 * row} 0 0 {9000 + 100 * row} 9000 30 7 1\n"
        for row in range(1, 11)
    )
    (tmp_path / "ten.star").write_text(f"{head}_rlnClassNumber #12\n{lines}".replace(" 0 1.0 ", " 2.7 0.1 "))
    (tmp_path / "other.mrc").write_bytes((tmp_path / "map.mrc").read_bytes()[:1024] + density[::-1].tobytes())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MARKER}


def run(cli: Cli, *words: str, code: int = 0) -> str:
    done = cli("simulate", *words)
    assert done.code == code, done.err
    return done.out + done.err


def test_bytes_do_not_depend_on_the_number_of_shards(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its own rows alone each is made."""
    rows: list[list[int]] = []

    def noted(*given: object) -> object:
        found = read_rows(*given)  # type: ignore[arg-type]
        rows.append([] if found is None else found.particles.row.tolist())
        return found

    monkeypatch.setattr("cryoalign.io.metadata.read_rows", noted)
    run(cli, *MEASURED, "out=whole")
    whole = content(tmp_path / "whole")
    files = [f"sim_{number:06d}.mrcs" for number in (1, 2, 3, 4)]
    assert sorted(whole) == ["sim.star", *files]
    assert [MrcStack(tmp_path / "whole" / name).count for name in files] == [3, 3, 3, 1]
    for shards in (2, 5):  # of the five, one has nothing to do
        for shard in reversed(range(shards)):  # in whatever order
            assert (
                run(cli, *MEASURED, "out=cut", f"shards={shards}", f"shard={shard}", "overwrite=true") == ""
            )
        done = cli("merge", "out=cut", "overwrite=true")
        assert (done.code, done.out) == (0, f"{tmp_path / 'cut' / 'sim.star'}\n"), done.err
        assert content(tmp_path / "cut") == whole
    assert rows[:2] == [[7, 8, 9, 10], [1, 2, 3, 4, 5, 6]]
    assert rows[2:] == [[10], [7, 8, 9], [4, 5, 6], [1, 2, 3], []]
    assert not list(tmp_path.glob(".*"))
    star = read_particles(tmp_path / "whole" / "sim.star")
    assert [(star.stack[row], star.slot[row]) for row in (0, 4, 9)] == [
        (files[0], 0), (files[1], 1), (files[3], 0)
    ]  # fmt: skip


def test_more_than_a_file_holds_are_the_same_images(cli: Cli, tmp_path: Path) -> None:
    """New particles of two maps: in a multirun, and in one file."""
    run(cli, *LIKE, "out=cut", "shards=3", "shard=range(3)", "-m")
    assert cli("merge", "out=cut").code == 0
    run(cli, *LIKE, "out=one", "images_per_file=10")
    assert sorted(content(tmp_path / "one")) == ["sim.mrcs", "sim.star"]
    star = read_particles(tmp_path / "cut" / "sim.star")
    images = [MrcStack(tmp_path / "cut" / star.stack[row]).read(star.slot[row]) for row in range(10)]
    alone = [MrcStack(tmp_path / "one" / "sim.mrcs").read(row) for row in range(10)]
    np.testing.assert_allclose(images, alone, atol=2e-6)  # other batches: the last digit
    tables = [starfile.read(tmp_path / name / "sim.star")["particles"] for name in ("cut", "one")]
    named, others = (table.drop(columns="rlnImageName") for table in tables)
    assert named.equals(others)


def test_a_killed_shard_goes_on_and_a_finished_file_is_skipped(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cli, *MEASURED, "out=whole")
    write, written = StackWriter.write, []

    def stopped(self: StackWriter, images: np.ndarray) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append((self.path.name, len(images)))
        write(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(StackWriter, "write", stopped)
        run(cli, *MEASURED, "out=cut", "shards=2", "shard=0", code=130)
    assert written == [("sim_000001.mrcs", 2), ("sim_000001.mrcs", 1), ("sim_000002.mrcs", 2)]
    done = cli("merge", "out=cut")
    assert done.code == 1
    assert "3 of 4 files are not there yet" in done.err
    assert "no sim_000002.mrcs, sim_000003.mrcs, sim_000004.mrcs; 1 begun" in done.err
    assert not (tmp_path / "cut").exists()

    def noted(self: StackWriter, images: np.ndarray) -> None:
        written.append((self.path.name, len(images)))
        write(self, images)

    written.clear()
    monkeypatch.setattr(StackWriter, "write", noted)
    assert "behind the first 2 of 3" in run(cli, *MEASURED, "out=cut", "shards=2", "shard=0")
    assert written == [("sim_000002.mrcs", 1)]
    written.clear()
    run(cli, *MEASURED, "out=cut")  # without shards: all that is missing, and the metadata
    assert written == [("sim_000003.mrcs", 2), ("sim_000003.mrcs", 1), ("sim_000004.mrcs", 1)]
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    assert not list(tmp_path.glob(".cut*"))


def test_what_does_not_belong_together_is_refused(cli: Cli, tmp_path: Path) -> None:
    first = (*MEASURED, "out=cut", "shards=2")
    assert "which of the 2 shards" in run(cli, *first, code=1)
    assert "shards count from 0" in run(cli, *first, "shard=2", code=1)
    run(cli, *first, "shard=0")
    before = content(tmp_path / ".cut.unfinished")
    assert "found: seed: 0, now 3" in run(cli, *first, "shard=1", "seed=3", code=1)
    assert "found: batch_size: 2, now 3" in run(cli, *first, "shard=1", "batch_size=3", code=1)
    text = (tmp_path / "ten.star").read_text()
    (tmp_path / "ten.star").write_text(text.replace("9100", "9101"))
    assert "a file that they read has changed" in run(cli, *first, "shard=1", code=1)
    (tmp_path / "ten.star").write_text(text)
    run(cli, *first, "shard=1")
    (tmp_path / "ten.star").write_text(text.replace("9100", "9101"))
    refused = cli("merge", "out=cut")
    assert refused.code == 1
    assert "made with other settings" in refused.err
    assert before.items() <= content(tmp_path / ".cut.unfinished").items()
    (tmp_path / "ten.star").write_text(text)
    assert cli("merge", "out=cut").code == 0
    assert "a finished output" in cli("merge", "out=cut").err
    assert "something that cryoalign did not write" in cli("merge", f"out={tmp_path}").err
    assert "exists already" in run(cli, *first, "shard=1", code=1)


def test_a_merge_runs_nothing_that_a_stranger_left(cli: Cli, tmp_path: Path) -> None:
    run(cli, *MEASURED, "out=cut", "shards=1", "shard=0")
    marker = tmp_path / ".cut.unfinished" / MARKER
    marker.write_text(marker.read_text().replace("cryoalign.simulate.specimen.DensityMap", "os.system"))
    done = cli("merge", "out=cut")
    assert done.code == 1
    assert "specimen._target_" in done.err


HOLDS = """
import fcntl, sys
files = [open(name, "w+") for name, kind in zip(sys.argv[1::2], sys.argv[2::2])]
for file, kind in zip(files, sys.argv[2::2]):
    fcntl.lockf(file, getattr(fcntl, kind))
print("held", flush=True)
sys.stdin.read()
"""


def test_jobs_that_run_at_once(cli: Cli, tmp_path: Path) -> None:
    """Others may run, but not the whole beside a part of it, nor two in one file."""
    run(cli, *MEASURED, "out=cut", "shards=2", "shard=0")
    folder = tmp_path / ".cut.unfinished"
    held = (f"{folder}.lock", "LOCK_SH", str(folder / ".sim_000004.mrcs.lock"), "LOCK_EX")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, *held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert "another process is writing this file" in run(
            cli, *MEASURED, "out=cut", "shards=2", "shard=1", code=1
        )
        assert (folder / "sim_000003.mrcs").is_file()
        assert "another process is writing this output" in run(cli, *MEASURED, "out=cut", code=1)
        other.kill()
    run(cli, *MEASURED, "out=cut", "shards=2", "shard=1")
    assert cli("merge", "out=cut").code == 0
    assert not list(tmp_path.glob(".cut*"))


def test_a_shard_that_fails_at_once_leaves_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StackWriter, "write", fails)
    run(cli, *MEASURED, "out=cut", "shards=2", "shard=0", code=130)
    assert not list(tmp_path.glob(".cut*"))


def test_plans() -> None:
    """Every file is one shard's, and shards differ by one file at the most."""
    for shards in (1, 3, 7, 16):
        parts = [list(FilePlan(shards=shards, shard=shard).files(10)) for shard in range(shards)]
        assert [number for part in parts for number in part] == list(range(10))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert StackFiles("sim", 6, 3).names == ["sim_000001.mrcs", "sim_000002.mrcs"]
    with pytest.raises(InputError, match="which of the 3"):
        FilePlan(shards=3)
