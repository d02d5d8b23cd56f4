"""Callbacks and loggers that are added on the command line do what they are for."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from cryoalign.errors import InputError
from cryoalign.train.checkpoints import StepCheckpoints
from cryoalign.train.fixed_batch import FixedBatch
from tests.conftest import SMALL, Cli, read_csv

STOPS = ["+callbacks=early_stopping", "callbacks.early_stopping.patience=2"]
#: No validation improves by that much but the first.
NEVER_BETTER = "callbacks.early_stopping.min_delta=1e6"
QUICK = [*SMALL, "generator.width=4", "discriminator.width=4", "test=false", "audit=off"]


def train(cli: Cli, cache: Path, folder: Path, *more: str) -> str:
    done = cli("train", "+debug=smoke", *QUICK, f"paths.cache={cache}", f"hydra.run.dir={folder}", *more)
    assert done.code == 0, done.err
    return done.err


def test_early_stopping_stops_and_is_restored(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """The first validation is the best; two without improvement follow, wherever the run was interrupted."""
    limits = ["trainer.max_steps=20", "trainer.val_check_interval=2", "callbacks.figures.every=20"]
    said = train(cli, cache, tmp_path / "whole", *STOPS, NEVER_BETTER, *limits)
    assert "stopped     at step 6 of 20" in said
    state = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 6
    assert (tmp_path / "whole" / "figures" / "panels_step_000006.png").is_file()  # the last step is drawn
    assert "early_stopping" in yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())["callbacks"]

    train(cli, cache, tmp_path / "half", *STOPS, NEVER_BETTER, *limits, "trainer.max_steps=4")
    done = cli("train", f"resume={tmp_path / 'half'}", "trainer.max_steps=20")
    assert done.code == 0, done.err
    assert "stopped     at step 6 of 20" in done.err
    resumed = torch.load(tmp_path / "half" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in state["state_dict"].items())


def test_the_learning_rates_are_logged_by_step(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Those that a step was made with: the decay begins after step 2, and counts steps, not batches."""
    run = tmp_path / "run"
    train(
        cli, cache, run, "+callbacks=[learning_rate,early_stopping]", "optimizer.decay_start=2",
        "optimizer.accumulate=2",
    )  # fmt: skip
    rows = [row for row in read_csv(run) if "lr/generator" in row]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    rates = [
        [float(row[f"lr/{network}"]) / 2e-4 for network in ("generator", "discriminator")] for row in rows
    ]
    assert rates == [pytest.approx([rate, rate]) for rate in (1, 1, 1, 0.5)]


def test_no_callback_and_no_logger_is_a_choice_too(cli: Cli, cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(cli, cache, run, "logger=[]", "~callbacks.figures")
    assert not {"csv", "tensorboard", "figures"} & {path.name for path in run.iterdir()}
    assert (run / "checkpoints" / "best.ckpt").is_file()


def test_a_value_that_cannot_be_is_refused_before_the_data_are_read(cli: Cli, tmp_path: Path) -> None:
    for wrong in (
        "callbacks.figures.every=0",
        "callbacks.figures.size=-1",
        "callbacks.step_checkpoints.every=0",
    ):
        done = cli("train", *SMALL, f"paths.cache={tmp_path / 'cache'}", wrong)
        assert done.code == 1
        assert f"{wrong.partition('=')[0]} is out of range" in done.err
        assert "Traceback" not in done.err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("make", [lambda: FixedBatch(every=0), lambda: StepCheckpoints(0)])
def test_constructors_refuse_by_themselves(make: object) -> None:
    with pytest.raises(InputError, match="out of range"):
        make()  # type: ignore[operator]


def test_weights_and_biases_get_what_the_other_loggers_get(
    cli: Cli, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="Weights & Biases (wandb) is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    train(cli, cache, run, "+logger=wandb", "logger.wandb.offline=true")
    (log,) = (run / "wandb").glob("offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 20  # another process writes the file
    while b"val/RPSD_L1" not in log.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert b"train/loss_G" in log.read_bytes()
    assert b"val/RPSD_L1" in log.read_bytes()
    assert (run / "csv" / "metrics.csv").is_file()  # it was added to the others


def test_without_weights_and_biases_it_says_what_to_do(
    cli: Cli, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = cli("train", *QUICK, f"paths.cache={cache}", "+logger=wandb")
    assert done.code == 1
    assert "pip install wandb" in done.err
    assert "Traceback" not in done.err
    assert not any((tmp_path / "outputs" / "train").iterdir())


def test_a_run_keeps_what_was_given_on_its_command_line(run: Path) -> None:
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["name"] == ""
    assert "+debug=smoke" in facts["overrides"]
    assert facts["choices"]["generator"] == "unet"
