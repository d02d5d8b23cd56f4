"""Two processes give the validation values of one, and leave one folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import SMALL, Cli, latest, read_csv
from tests.train.validated import PAIRS_OF_TWO_PROCESSES, assert_validated_as_by_one

#: Seconds behind which a process is taken to hang; a busy machine takes minutes.
PATIENCE = 1200


def test_two_processes_in_a_sweep(cache: Path, tmp_path: Path, cli: Cli) -> None:
    """Started by ``cryoalign train``, whose second process Lightning starts from the command line.

    The second job does not wait for processes that nobody starts, for what the first left in the environment.
    """
    script = tmp_path / "cryoalign"
    script.write_text("from cryoalign.__main__ import main\nmain()\n")  # what pip installs
    base = [entry for entry in SMALL if not entry.startswith("trainer=")]
    arguments = [
        *base, *PAIRS_OF_TWO_PROCESSES, "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_steps=2",
        "trainer.val_check_interval=1", f"paths.cache={cache}", "callbacks.figures.every=2", "log_every=1",
        "threads=1", "audit=off", "generator.width=4", "discriminator.width=4",
    ]  # fmt: skip
    command = [sys.executable, str(script), "train", "-m", "seed=1,2", *latest(arguments)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 1  # the second process made none of its own
    run, second = sorted((tmp_path / "outputs").glob("sweep/*/?_seed-*"))
    assert (second / "test" / "fake.star").is_file()
    assert (run / "test" / "fake.star").is_file()
    rows = [row for row in read_csv(run) if "val/RPSD_L1" in row]
    assert [row["step"] for row in rows] == ["1", "2"]
    assert_validated_as_by_one(run, cli)


def test_terminated_processes_stop_together_and_no_further_job_starts(cache: Path, tmp_path: Path) -> None:
    """The signal goes to the first process alone; both agree behind the step."""
    base = [entry for entry in SMALL if not entry.startswith("trainer=")]
    options = [
        *base, "trainer=ddp", "trainer.accelerator=cpu", "generator.width=4", "discriminator.width=4",
        f"paths.cache={cache}", "data.batch_size=2", "log_every=1", "threads=1", "audit=off", "test=false",
        "trainer.max_steps=100000", "trainer.val_check_interval=2", "callbacks.figures.every=100000",
    ]  # fmt: skip
    command = [sys.executable, "-m", "cryoalign.train", "-m", "seed=1,2", *latest(options)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and not any(
                tmp_path.glob("outputs/sweep/*/*/checkpoints/last.ckpt")
            ):
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)  # until both have closed what they write to
        finally:
            process.kill()
    assert process.returncode == 143, said
    assert "Traceback" not in said
    (run,) = tmp_path.glob("outputs/sweep/*/*_seed-*")
    step = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert f"stopped     at step {step} of 100000: SIGTERM" in said
    command = [sys.executable, "-m", "cryoalign.train", f"resume={run}", f"trainer.max_steps={step + 1}"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    rows = [int(row["step"]) for row in read_csv(run) if "val/RPSD_L1" in row]
    assert rows == [*range(2, step + 1, 2), step + 1] if step % 2 == 0 else [*range(2, step + 2, 2)]


def srun(command: list[str]) -> None:
    """Start a command as SLURM's srun does with two tasks on one machine."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    started = {
        "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "training", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    tasks = [
        subprocess.Popen(command, env={**os.environ, **started, "SLURM_PROCID": rank, "SLURM_LOCALID": rank})
        for rank in "01"
    ]
    try:
        assert [task.wait(timeout=PATIENCE) for task in tasks] == [0, 0]
    finally:
        for task in tasks:
            task.kill()
            task.wait()


def torchrun(command: list[str]) -> None:
    """Start a command with torchrun."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([command[0], *launcher, *command[1:]], check=True, timeout=PATIENCE)


@pytest.mark.parametrize("start", [srun, torchrun])
def test_two_processes_follow_the_gradient_of_one(
    start: Callable[[list[str]], None], cache: Path, tmp_path: Path, cli: Cli
) -> None:
    """Two processes with batches of 2 do what one does with batches of 4, and validate as one.

    What starts them knows nothing of a run's folder: they share one. Above it is Lightning that starts them.
    """
    plain = [  # Adam's first steps have one size whatever the gradient: rounding would show
        *SMALL, *PAIRS_OF_TWO_PROCESSES, "optimizer.algorithm._target_=torch.optim.SGD",
        "~optimizer.algorithm.betas", "optimizer.algorithm.lr=1", f"paths.cache={cache}",
        "trainer.max_steps=1", "test=false", "threads=1",
    ]  # fmt: skip
    done = cli("train", *plain, "data.batch_size=4", f"hydra.run.dir={tmp_path / 'one'}")
    assert done.code == 0, done.err
    several = ["trainer=ddp", "trainer.accelerator=cpu", f"paths.outputs={tmp_path / 'two'}"]
    start([sys.executable, "-m", "cryoalign.train", *latest([*plain, *several])])
    (run,) = (tmp_path / "two").glob("*/*")
    one, two = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path / "one", run)
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-4)
    assert [row["step"] for row in read_csv(run) if "val/RPSD_L1" in row] == ["1"]
    assert_validated_as_by_one(run, cli)


@pytest.mark.parametrize(
    ("environment", "command", "said"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, ["train"], "found: 2"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, ["train", "trainer=ddp"], "expected: 2"),
        ({"SLURM_NTASKS": "1"}, ["train", "trainer=ddp"], "srun --ntasks-per-node"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, ["train", "-m", "seed=1,2", "trainer=ddp"], "cannot share a sweep"),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"},
            ["train", "-m", "seed=1,2", "trainer=ddp"],
            "cannot share",
        ),
        ({"SUBMITIT_LOCAL_NTASKS": "2"}, ["train", "trainer=ddp"], "leave hydra.launcher.tasks_per_node out"),
    ],
)
def test_processes_that_cannot_work_together_are_refused(
    environment: dict[str, str], command: list[str], said: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = cli(*command)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
