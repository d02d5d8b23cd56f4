"""A simulation that was stopped goes on, and only as what it was."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.io.mrc import StackWriter
from tests.simulate.commanded import GIVEN, PIXEL_SIZE, STAR, simulate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


def test_an_interrupted_simulation_goes_on(
    density: np.ndarray, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (simulate(cli, "batch_size=1", "specimen.mirror=true") / "sim.mrcs").read_bytes()
    write, seen = StackWriter.write, []

    def interrupted(self: StackWriter, images: np.ndarray) -> None:
        if self.written == 2 and not seen:
            seen.append(self.written)
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(StackWriter, "write", interrupted)
    options = (*GIVEN[:2], "out=again", "progress=false", "batch_size=1")
    done = cli("simulate", *options, "specimen.mirror=true")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert "behind 2 of 4 images; the same command given again goes on" in done.out + done.err
    assert not (tmp_path / "again").exists()
    assert (tmp_path / ".again.unfinished").is_dir()
    done = cli("simulate", *options, "specimen.mirror=true")
    assert "behind the first 2 of 4 images" in done.out + done.err
    assert (tmp_path / "again" / "sim.mrcs").read_bytes() == whole
    seen.clear()
    assert cli("simulate", *options, "overwrite=true", "seed=3").code == 130
    done = cli("simulate", *options, "overwrite=true", "seed=5")
    assert "behind the first" not in done.out + done.err  # of another simulation
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "map.mrc", "particles.star", "sims"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_finished_stack_is_kept_when_its_metadata_cannot_be_written(
    density: np.ndarray, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("cryoalign.io.relion.star.quoted", fails)
        done = cli("simulate", *GIVEN)
    assert done.code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert "the same command given again goes on" in done.out + done.err
    assert not (tmp_path / "sims").exists()
    monkeypatch.setattr(StackWriter, "write", fails)  # nothing is simulated again
    folder = simulate(cli)
    assert np.isfinite(mrcfile.read(folder / "sim.mrcs")).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "particles.star", "sims"]
    assert sorted(path.name for path in folder.iterdir()) == [".cryoalign", "sim.mrcs", "sim.star"]


@pytest.mark.parametrize("changed", ["particles.star", "map.mrc"])
def test_inputs_that_changed_anywhere_are_simulated_anew(
    density: np.ndarray, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """In the middle of files far larger than what a sample of blocks would see."""
    rows = STAR.rstrip().splitlines()
    padding = "# " + "-" * 9998 + "\n"
    (tmp_path / "particles.star").write_text("\n".join([*rows[:-2], padding * 60, *rows[-2:]]) + "\n")
    map_ = np.pad(density, 24)
    mrcfile.write(tmp_path / "map.mrc", map_, voxel_size=PIXEL_SIZE, overwrite=True)
    finish = StackWriter._header

    def interrupted(self: StackWriter) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(StackWriter, "_header", interrupted)
    assert cli("simulate", *GIVEN).code == 130
    monkeypatch.setattr(StackWriter, "_header", finish)
    if changed == "map.mrc":
        map_[36, 36, 36] += 30
        mrcfile.write(tmp_path / changed, map_, voxel_size=PIXEL_SIZE, overwrite=True)
    else:
        path = tmp_path / changed
        path.write_text(path.read_text().replace("0 90 0 0 0", "0 80 0 0 0"))
    images = mrcfile.read(simulate(cli) / "sim.mrcs")
    assert np.array_equal(images, mrcfile.read(simulate(cli, "overwrite=true") / "sim.mrcs"))
