"""Sweeps whose jobs run in other processes: two at once, and as jobs of a cluster, one of them preempted."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import SMALL, Cli, installed, read_csv
from tests.train.validated import PAIRS_OF_TWO_PROCESSES, assert_validated_as_by_one

STAND_IN = Path(__file__).with_name("slurm_stand_in.py")
OPTIONS = [
    "generator.width=4", "discriminator.width=4", "log_every=1", "audit=off", "threads=1",
    "callbacks.figures.every=1000", "hydra.sweep.dir=sweep", "seed=1,2",
]  # fmt: skip


@pytest.mark.skipif(not installed("hydra-joblib-launcher"), reason="not installed: cryoalign[parallel]")
def test_two_trainings_at_once(cache: Path, cli: Cli, tmp_path: Path) -> None:
    """Each has its folder and its log; a job that cannot go on is named, and stops no other."""
    options = ["trainer.max_steps=2", "trainer.val_check_interval=1", "test=false", f"paths.cache={cache}"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = cli("train", "-m", *SMALL, *OPTIONS, *options, *launcher, "seed=1,2,x")
    assert done.code == 1
    assert "error: job #2 of the sweep failed: seed cannot be used" in done.err
    assert "Traceback" not in done.err
    for name in ("0_seed-1", "1_seed-2"):
        assert [row["step"] for row in read_csv(tmp_path / "sweep" / name) if "val/RPSD_L1" in row] == [
            "1",
            "2",
        ]
    assert {path.name for path in (tmp_path / "sweep" / "tensorboard").iterdir()} == {"seed=1", "seed=2"}


@pytest.mark.skipif(not installed("hydra-submitit-launcher"), reason="not installed: cryoalign[slurm]")
def test_two_processes_of_a_local_job(cache: Path, cli: Cli, tmp_path: Path) -> None:
    """Lightning starts the second one from a process of submitit's."""
    options = [*PAIRS_OF_TWO_PROCESSES, "trainer.max_steps=2", "trainer.val_check_interval=1", "test=false"]
    processes = ["trainer=ddp", "trainer.accelerator=cpu", "hydra/launcher=submitit_local"]
    done = cli("train", "-m", *SMALL, *OPTIONS, *options, *processes, f"paths.cache={cache}", "seed=3")
    assert done.code == 0, done.err
    (run,) = tmp_path.glob("sweep/0*")
    assert [row["step"] for row in read_csv(run) if "val/RPSD_L1" in row] == ["1", "2"]
    assert_validated_as_by_one(run, cli)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of what the stand-in for SLURM knows of its jobs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sbatch", "srun", "scontrol", "sacct"):
        command = shlex.join([sys.executable, str(STAND_IN), name])
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(tmp_path / "slurm"))
    return tmp_path / "slurm"


@pytest.mark.skipif(not installed("hydra-submitit-launcher"), reason="not installed: cryoalign[slurm]")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_preempted_job_goes_on_from_its_last_step(
    processes: int, cache: Path, cli: Cli, tmp_path: Path, slurm: Path
) -> None:
    """SLURM sends SIGTERM, which submitit ignores, and SIGUSR2, behind which the job is queued again.

    Where SLURM starts two processes for each job, both get the signals, one after the other.
    """

    def preempt() -> None:
        while not (run / "checkpoints" / "last.ckpt").is_file():
            if ended.wait(0.02):
                return
        tasks = [int(word) for word in (slurm / "4242_0.pid").read_text().split()]
        assert len(tasks) == processes
        for number in (signal.SIGTERM, signal.SIGUSR2):
            for task in tasks:
                os.kill(task, number)

    run, steps = tmp_path / "sweep" / "0_seed-1", 40
    options = [f"trainer.max_steps={steps}", "trainer.val_check_interval=10", f"paths.cache={cache}"]
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=short"]
    if processes == 2:
        options += [*PAIRS_OF_TWO_PROCESSES, "trainer=ddp", "trainer.accelerator=cpu"]
        launcher += ["hydra.launcher.tasks_per_node=2"]
    ended, thread = threading.Event(), threading.Thread(target=preempt)
    thread.start()
    done = cli("train", "-m", *SMALL, *OPTIONS, *options, *launcher)
    ended.set()
    thread.join()
    assert done.code == 0, done.err
    assert "--partition=short" in (slurm / "sbatch").read_text()
    logs = [log.read_text() for log in sorted(tmp_path.glob("sweep/.submitit/4242_0/*_log.err"))]
    assert ["Bypassing signal SIGTERM" in log for log in logs] == [True] * processes
    said = logs[0]
    step = re.search(rf"stopped     at step (\d+) of {steps}: SIGUSR2", said)
    assert step
    assert f"continuing {run} at step {step[1]}" in said
    for folder in (run, tmp_path / "sweep" / "1_seed-2"):
        rows = [int(row["step"]) for row in read_csv(folder) if "train/loss_G" in row]
        assert rows == list(range(1, steps + 1))
        assert (folder / "test" / "metrics.json").is_file()
    if processes == 2:
        assert_validated_as_by_one(run, cli)
