"""An interrupted training says how to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cryoalign.train import session
from cryoalign.train.system import PairedGAN
from tests.conftest import SMALL, Cli, read_csv


def listen() -> None:
    """Undo what a shell does to programs in the background: they ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = [
        f"paths.cache={cache}", f"hydra.run.dir={folder}", "trainer.max_steps=100000",
        "trainer.val_check_interval=2", "log_every=1", "threads=1", "audit=off", "generator.width=4",
        "discriminator.width=4",
    ]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "cryoalign.train", *SMALL, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen,  # noqa: PLW1509  nothing else runs in this process
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and not (folder / "checkpoints" / "last.ckpt").is_file():
                time.sleep(0.1)
            assert read_csv(folder)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode != 0
    assert f"to continue: cryoalign train resume={folder}" in said
    assert "Traceback" not in said


def interrupt(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt


def test_an_interrupt_before_anything_was_done_leaves_no_folder(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "build_data", interrupt)
    done = cli("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "hydra.run.dir=early")
    assert done.code == 130
    assert not (tmp_path / "early").exists()


def test_what_was_logged_before_an_interrupt_is_kept(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (
        "+debug=smoke", *SMALL, f"paths.cache={cache}", "hydra.run.dir=early", "trainer.max_steps=9",
        "trainer.val_check_interval=9", "log_every=1",
    )  # fmt: skip
    step = PairedGAN.training_step

    def interrupted_late(self: PairedGAN, batch: Any, batch_idx: int) -> None:
        if self.global_step == 5:
            raise KeyboardInterrupt
        step(self, batch, batch_idx)

    monkeypatch.setattr(PairedGAN, "training_step", interrupted_late)
    done = cli("train", *command)
    assert done.code != 0
    assert f"start it again; remove {tmp_path / 'early'} before" in done.out + done.err
    assert [int(row["step"]) for row in read_csv(tmp_path / "early")][-1] == 5


def test_after_an_interrupt_before_the_first_checkpoint_the_same_command_starts_anew(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could be continued, so no folder is in the way."""
    command = ("+debug=smoke", *SMALL, f"paths.cache={cache}", "hydra.run.dir=early", "test=false")
    with monkeypatch.context() as patched:
        patched.setattr("cryoalign.train.system.PairedGAN.training_step", interrupt)
        done = cli("train", *command)
    assert done.code != 0
    assert "before the first checkpoint: nothing to continue, start it again" in done.out + done.err
    assert not (tmp_path / "early").exists()
    done = cli("train", *command)
    assert done.code == 0, done.err
    assert (tmp_path / "early" / "checkpoints" / "last.ckpt").is_file()
