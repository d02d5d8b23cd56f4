"""A search with Optuna notes what it tries, and goes on with the same command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cryoalign.errors import InputError
from cryoalign.train import session
from tests.conftest import Cli

optuna = pytest.importorskip("optuna", reason="hydra-optuna-sweeper is not installed: cryoalign[search]")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Trained:
    """What stands for a training: best at a weight of 0.05; some trials end otherwise."""

    def __init__(self, **ends: BaseException) -> None:
        self.ends = {int(name.removeprefix("trial_")): error for name, error in ends.items()}
        self.weights: list[float] = []

    def __call__(self, cfg: Any) -> float:
        self.weights.append(cfg.loss.weights.rpsd)
        if len(self.weights) in self.ends:
            raise self.ends[len(self.weights)]
        return abs(math.log(self.weights[-1] / 0.05))


def states(folder: Path) -> list[str]:
    study = optuna.load_study("full", f"sqlite:///{folder / 'outputs' / 'search.db'}")
    return [trial.state.name for trial in study.trials]


def test_a_search_goes_on_behind_a_trial_that_failed_and_one_that_was_interrupted(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Trained(trial_1=InputError("a loss is not finite", remedy="no"), trial_2=KeyboardInterrupt())
    monkeypatch.setattr(session, "train", training)
    command = ("train", "+hparams_search=full", "trainer=cpu", "search.trials=2")
    done = cli(*command)
    assert done.code == 130
    assert "error in job #0: a loss is not finite" in done.err
    assert states(tmp_path) == ["FAIL", "RUNNING"]

    done = cli(*command)
    assert done.code == 0, done.err
    assert states(tmp_path) == ["FAIL", "RUNNING", "COMPLETE", "COMPLETE"]
    assert len(set(training.weights)) == 4  # no trial is repeated
    assert all(0.005 <= weight <= 5 for weight in training.weights)
    best = min(abs(math.log(weight / 0.05)) for weight in training.weights[2:])
    assert f"Best value: {best}" in done.err
    for key in (
        "loss.weights.rpsd", "loss.weights.gan", "optimizer.algorithm.lr", "generator.noise_channels",
        "generator.width", "discriminator.width",
    ):  # fmt: skip
        assert f"'{key}': " in done.err

    done = cli(*command)
    assert done.code == 1
    assert "the search full has made its trials" in done.err
    assert "search.trials=N" in done.err


def test_a_search_without_any_result_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "train", Trained(trial_1=InputError("there are no data", remedy="no")))
    done = cli("train", "+hparams_search=rpsd_weight", "trainer=cpu", "search.trials=1")
    assert done.code == 1
    assert "error: no trial of the search came to an end" in done.err
    assert "Traceback" not in done.err
