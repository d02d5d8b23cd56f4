"""What launchers and sweepers do with jobs, and what is said where they are not installed."""

from __future__ import annotations

import pickle

import pytest
from hydra.errors import MissingConfigException

from cryoalign.cli.composition import explain_composition
from cryoalign.cli.help_text import help_text
from cryoalign.cli.sweep import explain_sweep
from cryoalign.cli.termination import Terminated


@pytest.mark.parametrize(
    ("choice", "extra"),
    [
        ("hydra/launcher/joblib", "parallel"),
        ("hydra/launcher/submitit_local", "slurm"),
        ("hydra/launcher/submitit_slurm", "slurm"),
        ("hydra/sweeper/optuna", "search"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(choice: str, extra: str) -> None:
    said = explain_composition(MissingConfigException("", choice), "train")
    assert said.endswith(f"pip install 'cryoalign[{extra}]'")
    assert choice.replace("launcher/", "launcher=").replace("sweeper/", "sweeper=") in said


def test_searches_are_listed_also_where_optuna_is_not_installed() -> None:
    said = help_text("train")
    assert "+hparams_search" in said
    assert "full, rpsd_weight" in said


def test_without_srun() -> None:
    said = explain_sweep(RuntimeError('Could not detect "srun", are you indeed on a slurm cluster?'))
    assert said is not None
    assert "submitit_local" in said
    assert explain_sweep(RuntimeError("something else")) is None


def test_a_termination_comes_back_from_another_process() -> None:
    back = pickle.loads(pickle.dumps(Terminated()))  # noqa: S301  our own
    assert isinstance(back, Terminated)
    assert back.code == 143
