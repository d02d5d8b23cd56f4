"""A training that is stopped, by SIGTERM or because its time is up, goes on as if it had not been."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from cryoalign.train.checkpoints import LastCheckpoint
from cryoalign.train.system import PairedGAN
from cryoalign.train.test import _Seen
from tests.conftest import SMALL, Cli, read_csv, run_here
from tests.train.test_resume import same

STEPS, EVERY = 7, 3
OPTIONS = [
    "generator.width=4", "discriminator.width=4", "generator.dropout=0.2", "generator.noise_channels=1",
    "optimizer.accumulate=2", "optimizer.ema_decay=0.9", "log_every=1", f"trainer.max_steps={STEPS}",
    f"trainer.val_check_interval={EVERY}", "callbacks.figures.every=3", "audit=off", "threads=1",
]  # fmt: skip


def arguments(cache: Path, folder: Path, *more: str) -> list[str]:
    return [*SMALL, *OPTIONS, f"paths.cache={cache}", f"hydra.run.dir={folder}", *more]


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_same(one: Path, two: Path) -> None:
    for name in ("last", "best"):
        a, b = checkpoint(one, name), checkpoint(two, name)
        assert a["cryoalign"] | {"random": 0} == b["cryoalign"] | {"random": 0}
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            assert same(a[part], b[part]), part
    assert (one / "csv" / "metrics.csv").read_bytes() == (two / "csv" / "metrics.csv").read_bytes()
    assert (one / "test" / "fake.mrcs").read_bytes() == (two / "test" / "fake.mrcs").read_bytes()
    assert sorted(p.name for p in (one / "figures").iterdir()) == sorted(
        p.name for p in (two / "figures").iterdir()
    )


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one go."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run_here(folder.parent, "train", *arguments(cache, folder)) == 0
    return folder


@pytest.fixture
def made(whole: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The run in one go, and the place of another."""
    return whole, tmp_path / "run"


def send_term(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def behind(method: Callable[..., Any], wanted: Callable[..., bool]) -> Callable[..., Any]:
    """A method that is followed by SIGTERM where that is wanted, once each."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        result = method(self, *arguments, **options)
        if wanted(self, *arguments):
            send_term()
        return result

    return call


def at_steps(steps: Iterable[int]) -> Callable[..., bool]:
    left = set(steps)

    def wanted(system: PairedGAN, *_: object) -> bool:
        if system.global_step in left:
            left.remove(system.global_step)
            return True
        return False

    return wanted


def until_done(cli: Cli, folder: Path, first: list[str]) -> list[int]:
    """Run and resume until it is done; return the exit codes."""
    codes = []
    while not codes or codes[-1]:
        begun = (folder / "checkpoints").is_dir()
        done = cli("train", *([f"resume={folder}"] if begun else first))
        codes.append(done.code)
        assert done.code in {0, 143}, done.err
        assert "Traceback" not in done.err
        assert len(codes) < 20, done.err
    return codes


def test_terminated_behind_every_step_in_validation_and_in_the_test(
    whole: Path, cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the first half of a step of two batches, where a validation is due, and at the last step."""
    in_test = [True]

    def in_the_test(*_: object) -> bool:
        return bool(in_test) and in_test.pop()

    step, validate = PairedGAN.training_step, PairedGAN.validation_step
    monkeypatch.setattr(PairedGAN, "training_step", behind(step, at_steps(range(1, STEPS + 1))))
    monkeypatch.setattr(PairedGAN, "validation_step", behind(validate, at_steps([EVERY, STEPS])))
    monkeypatch.setattr(_Seen, "write", behind(_Seen.write, in_the_test))
    folder = tmp_path / "run"
    codes = until_done(cli, folder, arguments(cache, folder))
    assert codes == [143] * (STEPS + 3) + [0]
    assert_same(whole, folder)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_terminated_before_the_first_step(cache: Path, cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    """There is nothing to keep, and the same command may be given again."""
    monkeypatch.setattr("cryoalign.train.fit.audit_training", send_term)
    done = cli("train", *arguments(cache, tmp_path / "run"))
    assert done.code == 143
    assert not (tmp_path / "run").exists()


def test_no_further_job_of_a_sweep_starts(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairedGAN, "training_step", behind(PairedGAN.training_step, at_steps([2])))
    given = [entry for entry in arguments(cache, tmp_path) if not entry.startswith("hydra.run.dir")]
    done = cli("train", "-m", *given, "seed=1,2")
    assert done.code == 143
    (sweep,) = (tmp_path / "outputs" / "sweep").iterdir()
    assert [path.name for path in sweep.glob("*_seed*")] == ["0_seed-1"]
    assert checkpoint(sweep / "0_seed-1")["global_step"] == 2
    assert f"to continue: cryoalign train resume={sweep / '0_seed-1'}" in done.err


def test_terminated_while_python_imports(cache: Path, tmp_path: Path) -> None:
    """The code is 143, whether the handler is there already or not."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "cryoalign.train", *arguments(cache, folder)])
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in {143, -signal.SIGTERM}  # a shell says 143 of both
    assert not folder.exists() or not any(folder.iterdir())


def test_a_loaders_process_leaves_the_signal_to_the_training(
    whole: Path, cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler sends it to every process of a job."""

    def to_all(system: PairedGAN, *_: object) -> bool:
        if system.global_step != 2:
            return False
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        time.sleep(0.5)
        return True

    step = PairedGAN.training_step
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(PairedGAN, "training_step", behind(step, to_all))
        done = cli("train", *arguments(cache, folder, "data.workers=2"))
    assert done.code == 143, done.err
    assert checkpoint(folder)["global_step"] == 2
    assert until_done(cli, folder, []) == [0]
    assert_same(whole, folder)


def test_when_time_is_up(whole: Path, cache: Path, cli: Cli, tmp_path: Path) -> None:
    """It ends well, without a test, says how to go on, and its clock starts anew."""
    folder = tmp_path / "run"
    done = cli("train", *arguments(cache, folder, "trainer.max_time=00:00:00:00"))
    assert done.code == 0, done.err
    assert "stopped     at step 1 of 7: trainer.max_time is over" in done.err
    assert f"cryoalign train resume={folder}" in done.err
    assert not (folder / "test").exists()
    for step in (2, 3):
        done = cli("train", f"resume={folder}")  # each time another step
        assert done.code == 0, done.err
        assert checkpoint(folder)["global_step"] == step
    done = cli("train", f"resume={folder}", "trainer.max_time=null")
    assert done.code == 0, done.err
    assert_same(whole, folder)


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """The run in one go, somewhere else, and before its test."""
    folder = shutil.copytree(whole, tmp_path / "moved")
    shutil.rmtree(folder / "test")
    return folder


def test_killed_behind_the_last_validation(whole: Path, copied: Path, cli: Cli) -> None:
    done = cli("train", f"resume={copied}")
    assert done.code == 0, done.err
    assert "with its test" in done.err
    assert_same(whole, copied)
    done = cli("train", f"resume={copied}")
    assert done.code == 1
    assert "reached its last step" in done.err


def killed(self: object, *_: object) -> NoReturn:
    raise KeyboardInterrupt


BEFORE_LAST = {
    "in the validation": ("system.PairedGAN.validation_step", {"step_000003.ckpt"}),
    "behind it": ("checkpoints.LastCheckpoint.on_validation_end", {"best.ckpt", "step_000003.ckpt"}),
}


@pytest.mark.parametrize("name", BEFORE_LAST)
def test_killed_before_the_first_last_checkpoint(
    name: str, made: tuple[Path, Path], cache: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole, folder), (place, there) = made, BEFORE_LAST[name]
    with monkeypatch.context() as patch:
        patch.setattr(f"cryoalign.train.{place}", killed)
        assert cli("train", *arguments(cache, folder, "callbacks.step_checkpoints.every=3")).code != 0
    assert {path.name for path in (folder / "checkpoints").iterdir()} == there
    done = cli("train", f"resume={folder}")
    assert done.code == 0, done.err
    assert f"continuing {folder} at step 3" in done.err
    assert_same(whole, folder)


def test_killed_between_the_best_and_the_last_checkpoint(
    whole: Path, cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which was the best is not forgotten, and the log neither loses nor repeats a row."""
    folder, write = tmp_path / "run", LastCheckpoint.on_validation_end

    def second(self: LastCheckpoint, trainer: Any, module: Any) -> None:
        if trainer.global_step > EVERY:
            raise KeyboardInterrupt
        write(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_validation_end", second)
        assert cli("train", *arguments(cache, folder)).code != 0
    with monkeypatch.context() as patch:
        patch.setattr(PairedGAN, "training_step", killed)  # before anything is logged
        assert cli("train", f"resume={folder}").code != 0
    assert [row["step"] for row in read_csv(folder)] == [
        row["step"] for row in read_csv(whole) if int(row["step"]) <= EVERY
    ]
    with (folder / "csv" / "metrics.csv").open("a") as file:
        file.write("0.1,0.")  # and killed in mid-line
    done = cli("train", f"resume={folder}")
    assert done.code == 0, done.err
    assert_same(whole, folder)


def test_one_process_at_a_time(copied: Path, cli: Cli) -> None:
    """Another that is alive keeps it off; what a killed one left does not."""
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(copied / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        done = cli("train", f"resume={copied}")
        other.kill()
    assert done.code == 1
    assert f"{copied}: another process is training this run" in done.err
    assert (copied / ".lock").exists()
    assert not (copied / "test").exists()
    done = cli("train", f"resume={copied}")
    assert done.code == 0, done.err
    assert not (copied / ".lock").exists()
