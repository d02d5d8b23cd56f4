"""A run that was killed and continued is the run that was not."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import SMALL, Cli, latest, read_csv, run_here

#: 48 training pairs in batches of 4: a pass over the data has 12 steps, and step 20 is in mid-pass.
STEPS, EVERY = 40, 10
KILL_AFTER = 26


def command(cache: Path, folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "cryoalign.train", *SMALL, f"paths.cache={cache}", f"hydra.run.dir={folder}",
        f"trainer.max_steps={STEPS}", f"trainer.val_check_interval={EVERY}", "log_every=1",
        f"callbacks.figures.every={STEPS}", "optimizer.decay_start=5", "optimizer.ema_decay=0.9",
        "generator=unet", "generator.dropout=0.2", "generator.noise_channels=1", "generator.width=8",
        "discriminator.width=8", "loss.weights.rpsd=0.3", "test=false", "threads=1", *more,
    ]  # fmt: skip


def last(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def same(one: object, two: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return one == two


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run_here(folder.parent, "train", *latest(command(cache, folder)[3:])) == 0
    return folder


def kill_in_mid_epoch(arguments: list[str], folder: Path) -> None:
    """Start a training and kill it once it has logged a step between two checkpoints."""
    process = subprocess.Popen(arguments)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "csv" / "metrics.csv").is_file():
            steps = [int(row["step"]) for row in read_csv(folder) if row.get("step", "").isdigit()]
            if steps and max(steps) >= KILL_AFTER:
                break
        time.sleep(0.02)
    assert process.poll() is None, "the training ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_in_mid_epoch_and_continued(
    workers: int, whole: Path, cache: Path, tmp_path: Path, cli: Cli
) -> None:
    folder = tmp_path / "run"
    kill_in_mid_epoch(command(cache, folder, f"data.workers={workers}"), folder)
    at = last(folder)["global_step"]
    assert 12 < at < STEPS  # in the second pass or later
    assert at % 12 != 0  # not at a pass's end
    done = cli("train", f"resume={folder}")
    assert done.code == 0, done.err
    one, two = last(whole), last(folder)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert same(one[part], two[part]), part
    assert read_csv(whole) == read_csv(folder)


def test_continued_beyond_the_first_limit(cache: Path, tmp_path: Path, cli: Cli, whole: Path) -> None:
    folder = tmp_path / "run"
    half = [f"trainer.max_steps={STEPS // 2}", f"optimizer.decay_end={STEPS}"]
    done = cli("train", *command(cache, folder, *half)[3:])
    assert done.code == 0, done.err
    assert last(folder)["global_step"] == STEPS // 2
    done = cli("train", f"resume={folder}", f"trainer.max_steps={STEPS}")
    assert done.code == 0, done.err
    assert same(last(whole)["state_dict"], last(folder)["state_dict"])


def test_a_finished_run_says_so(whole: Path, cli: Cli) -> None:
    done = cli("train", f"resume={whole}")
    assert done.code == 1
    assert "reached its last step" in done.err
    assert "Traceback" not in done.err


def test_only_limits_may_change(whole: Path, cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    before = (copy / "config.yaml").read_text()
    done = cli("train", f"resume={copy}", "seed=5", "trainer.max_steps=99")
    assert done.code == 1
    assert "seed cannot change" in done.err
    assert (copy / "config.yaml").read_text() == before


def test_a_run_that_cannot_be_restored_stays_as_it_was(whole: Path, cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    content = last(copy)
    content["loops"]["fit_loop"]["epoch_progress"] = {"total": 3}
    content["global_step"] = STEPS - EVERY  # the table has rows behind it
    torch.save(content, copy / "checkpoints" / "last.ckpt")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = cli("train", f"resume={copy}", "trainer.max_steps=99")
    assert done.code == 1
    assert "cannot be continued from this checkpoint" in done.err
    changed = {path for path, held in before.items() if path.read_bytes() != held}
    assert not changed
