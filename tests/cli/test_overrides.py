"""Null, what is no choice of a group, and a key given twice are refused before anything is composed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.command import COMMANDS
from cryoalign.cli.words import check_words
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


def refusal(command: str, *words: str) -> str:
    """Return what is said of words that are refused; nothing of others."""
    try:
        check_words(words, command)
    except InputError as error:
        return f"{error}\n"
    return ""


@pytest.mark.parametrize("command", COMMANDS)
def test_null_for_every_key(command: str) -> None:
    """Refused for each key that has a value in every file of conf/, and for no other."""
    catalogue = read_catalogue(command)
    may_be_null = {key.name for _, key in catalogue.all_keys() if key.default == "null"}
    for _, key in catalogue.all_keys():
        said = refusal(command, f"{key.name}=null")
        if key.name in may_be_null:
            assert said == "", key.name
            continue
        meaning = [one.said for _, one in catalogue.all_keys() if one.name == key.name]
        assert said.startswith(f"{key.name} cannot be null\n  expected: {meaning[0]}\n"), key.name
        assert f"  remedy: give it as {key.name}=VALUE" in said or f"  remedy: leave {key.name} out" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_null_for_every_group(command: str) -> None:
    for group in read_catalogue(command).groups:
        for word in (f"{group.name}=null", f"{group.label}=null", f"{group.name}=5"):
            said = refusal(command, word)
            assert f"  expected: {', '.join(choice.name for choice in group.choices)}\n" in said, word
        assert refusal(command, f"{group.label}={group.choices[0].name}") == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("simulate -m out=a,null", "out cannot be null\n"),
        ("train data.split=null", "data.split cannot be null\n  expected: how the pairs are divided"),
        ("train data.split={kind:null}", "data.split.kind cannot be null\n"),
        ("train -m generator=identity,null", "there is no generator=null\n"),
        ("train callbacks=null", "  remedy: callbacks=[] leaves all of them out\n"),
        ("train callbacks=[null]", "there is no +callbacks=null\n"),
        ("train ~callbacks", "callbacks cannot be taken away as a whole\n"),
        ("simulate ~detector", "  remedy: leave it out, or choose one: detector=CHOICE\n"),
        ("simulate ~seed", "seed is needed and cannot be taken away\n  remedy: leave ~seed out\n"),
        ("simulate +specimen=density_map", "  remedy: write specimen=CHOICE, without +\n"),
        ("simulate ++specimen=density_map", "  remedy: write specimen=CHOICE, without +\n"),
        ("train paths.outputs=", "paths.outputs cannot be used\n  expected: one path\n  found: nothing\n"),
        (
            "simulate out=a seed=1 out=b",
            "out is given twice\n  expected: one value\n  found: out=a and out=b\n  remedy: leave one",
        ),
        ("train generator=unet generator=identity", "generator is given twice\n"),
        ("train ++seed=1 seed=2", "seed is given twice\n"),
        ("train -m seed=1,2 seed=3", "seed is given twice\n"),
    ],
)
def test_what_is_refused(words: str, message: str) -> None:
    assert message in refusal(*words.split())


@pytest.mark.parametrize(
    "words",
    [
        "train logger.tensorboard=null callbacks.figures=null",
        "train ~callbacks.figures ~optimizer.algorithm.betas",
        "train callbacks=[] logger=[csv]",
        "train +callbacks=learning_rate +callbacks=early_stopping",
        "train ~callbacks.figures +callbacks.figures._target_=my.Figures",
        "train hydra.run.dir=a hydra.run.dir=b",
        "train -m seed=1,2 loss.weights.rpsd=0,0.5",
        "simulate out=a out=a",
    ],
)
def test_what_is_allowed(words: str) -> None:
    assert refusal(*words.split()) == ""


@pytest.mark.parametrize(
    "words", ["report runs=a out=null", "audit sim=null raw=a", "evaluate run=a checkpoint=null"]
)
def test_null_leaves_no_trace(words: str, cli: Cli, tmp_path: Path) -> None:
    done = cli(*words.split())
    assert done.code == 1
    assert " cannot be null\n" in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


def test_what_was_taken_away_is_named(cli: Cli) -> None:
    """Of what has a dot not all is needed: it is refused where it is."""
    done = cli("train", "~trainer.max_steps", "audit=off")
    assert done.code == 1
    assert "trainer.max_steps" in done.err
    assert "fault" not in done.err
