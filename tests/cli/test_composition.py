"""A key or a choice that is not there is refused, and what was probably meant is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hydra.errors import ConfigCompositionException

from cryoalign.cli.task import run_task
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig

    from tests.conftest import Cli

STARS = ("data.sim=sim.star", "data.raw=raw.star")
LIST = "  remedy: cryoalign train --help all lists every key\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sede=3"], f"there is no key sede\n  expected: seed\n{LIST}"),
        (["-m", "sede=3", "threads=1,2"], f"there is no key sede\n  expected: seed\n{LIST}"),
        (
            ["measures=[]"],
            (
                "train has no measures; evaluate has it\n"
                "  remedy: leave measures out; cryoalign train --help all lists every key\n"
            ),
        ),
        (["qqqq=3"], f"there is no key qqqq\n{LIST}"),
        (["generater=unet"], f"there is no key generater\n  expected: generator\n{LIST}"),
        (STARS, "data.sim belongs to data=stars\n  remedy: give data=stars, or leave data.sim out\n"),
        (
            ["callbacks.early_stopping.patience=2"],
            (
                "callbacks.early_stopping.patience belongs to +callbacks=early_stopping\n  remedy: give "
                "+callbacks=early_stopping, or leave callbacks.early_stopping.patience out\n"
            ),
        ),
        (
            ["generator=spectrl"],
            (
                "there is no generator=spectrl\n"
                "  expected: unet, identity, physical, spectral, transplant, unet_128, unet_256, "
                "white_noise\n"
                "  remedy: did you mean generator=spectral?\n"
            ),
        ),
        (
            ["data=star"],
            "there is no data=star\n  expected: embedded, stars\n  remedy: did you mean data=stars?\n",
        ),
        (["experiment=demo"], "experiment is added with +\n  remedy: write +experiment=CHOICE\n"),
        (
            ["resume=run", "generator.ramps=false"],
            (
                "generator.ramps cannot change when a run is continued\n"
                "  expected: resume= with trainer.max_steps or trainer.max_time\n"
                "  remedy: leave it out, or start a new run without resume=\n"
            ),
        ),
        (["+seed=3"], "seed is there already\n  remedy: write seed=VALUE, without +\n"),
    ],
)
def test_what_is_not_there(arguments: list[str], message: str, cli: Cli, tmp_path: Path) -> None:
    """The message is all that is printed, and no run folder is made."""
    done = cli("train", *arguments)
    assert (done.code, done.err) == (1, f"error: {message}")
    assert not list(tmp_path.glob("outputs/train/*"))


def test_a_key_of_other_commands(cli: Cli) -> None:
    """Which keys are alike is no guess where the same one is another command's."""
    done = cli("simulate", "threads=2", "box=32")
    said = "error: simulate has no threads; train, evaluate have it\n  remedy: leave threads out; "
    assert (done.code, done.err[: len(said)]) == (1, said)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("+sede=3", "there is no key sede\n  expected: seed"),
        ("++sede=3", "there is no key sede\n  expected: seed"),
        ("+paths.cahce=x", "there is no key paths.cahce\n  expected: paths.cache"),
        ("+callbacks.early_stopping.patience=2", "belongs to +callbacks=early_stopping"),
        ("+particle=3", "there is no key particle\n"),
        ("+trainer.max_step=10", "there is no key trainer.max_step\n  expected: trainer.max_steps"),
        (
            "+trainer.gradient_clip=1",
            "trainer.gradient_clip\n  expected: trainer.gradient_clip_val",
        ),
        (
            "+trainer.max_epochs=3",
            "trainer.max_epochs is decided by cryoalign\n  expected: ",
        ),
        ("+data.boxx=3", "there is no key data.boxx\n  expected: data.box"),
        ("+data.sim=a.star", "data.sim belongs to data=stars\n  remedy: give data=stars"),
        ("+callbacks.figures.evry=3", "callbacks.figures.evry\n  expected: callbacks.figures.every"),
        (
            "+optimizer.algorithm.beta=[0.5,0.9]",
            "optimizer.algorithm.beta\n  expected: optimizer.algorithm.betas",
        ),
        ("+optimizer.betas=[0.5,0.9]", "optimizer.betas\n  expected: optimizer.algorithm.betas"),
        (
            "+callbacks.mine={_target_:lightning.pytorch.callbacks.Timer,durration:1}",
            "callbacks.mine.durration\n  expected: callbacks.mine.duration",
        ),
    ],
)
def test_an_added_key_that_nothing_reads(added: str, message: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("train", added)
    assert done.code == 1
    assert message in done.err
    assert not list(tmp_path.glob("outputs/train/*"))


@pytest.mark.parametrize(
    "added",
    [
        "++seed=3",
        "+experiment=no_l1",
        "+callbacks=learning_rate",
        "+callbacks=[learning_rate,early_stopping]",
        "+trainer.min_steps=2",
        "+trainer.gradient_clip_val=1",
        "+trainer.strategy=auto",
        "+data.embedded.domains=2",
        "+optimizer.algorithm.amsgrad=true",
        "+callbacks.mine._target_=my.Callback",
        "+callbacks.mine={_target_:lightning.pytorch.callbacks.Timer,duration:1}",
        "+hydra.job.env_set.X=1",
    ],
)
def test_what_may_be_added(added: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reached: list[DictConfig] = []
    run(["train", added], reached, monkeypatch, tmp_path)
    assert len(reached) == 1


def run(
    words: list[str], reached: list[DictConfig], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> list[str | None]:
    """Run a task that does nothing under the name of a command; return the switches that it saw."""
    seen: list[str | None] = []

    def task(cfg: DictConfig) -> None:
        seen.append(os.environ.get("HYDRA_FULL_ERROR"))
        reached.append(cfg)
        if cfg.seed == 13:
            raise InputError("thirteen", remedy="no")

    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", words)
    run_task(words[0], task)
    return seen


@pytest.mark.parametrize("value", [None, "0", "1"])
def test_the_task_sees_the_environment_of_the_user(
    value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    if value is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", value)
    assert run(["train", "-m", "seed=1,2"], [], monkeypatch, tmp_path) == [value, value]
    assert os.environ.get("HYDRA_FULL_ERROR") == value


def test_the_other_jobs_of_a_sweep_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reached: list[DictConfig] = []
    with pytest.raises(SystemExit) as stop:
        run(["train", "-m", "seed=1,13,2,13"], reached, monkeypatch, tmp_path)
    assert stop.value.code == 1
    assert [cfg.seed for cfg in reached] == [1, 13, 2, 13]
    said = [line for line in capsys.readouterr().err.splitlines() if "rror" in line]
    assert said == [
        "error in job #1: thirteen",
        "error in job #3: thirteen",
        "error: 2 jobs of the sweep failed: #1, #3",
    ]


def test_an_error_is_all_that_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["train", "seed=13"], [], monkeypatch, tmp_path)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: thirteen\n  remedy: no\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "seed=interval(0,1)"], "does not support sweep type"),
        (["hydra.run.dir=/dev/null/run"], "a file stands where a folder has to be"),
        (["hydra/launcher=basc"], "Could not find 'hydra/launcher/basc'"),
        (["-m", "hydra/sweeper=opt", "seed=1,2"], "Could not find 'hydra/sweeper/opt'"),
    ],
)
def test_what_hydra_refuses(arguments: list[str], message: str, cli: Cli) -> None:
    done = cli("train", *arguments)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert message in done.err
    assert "Traceback" not in done.err
    assert "HYDRA_FULL_ERROR" not in done.err


def test_a_launcher_of_others_learns_of_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sweeper has to know, so the error is raised to it."""
    monkeypatch.setattr("cryoalign.cli.sweep._PLAIN", ("Submitit", "Optuna"))
    with pytest.raises(SystemExit) as stop:
        run(["train", "-m", "seed=13,2"], [], monkeypatch, tmp_path)
    assert stop.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == ["error: job #0 of the sweep failed: thirteen", "  remedy: no"]
    assert "error in job #0: thirteen" in said


def test_full_error_shows_where_hydra_stopped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException, match="sede"):
        cli("train", "sede=3")
