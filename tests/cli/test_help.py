"""``--help`` says what each key and each choice is, and brings the needed ones on one screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cryoalign.cli import CONF_DIR
from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.command import COMMANDS
from cryoalign.cli.flatten import flatten
from cryoalign.cli.help_text import help_text
from tests.conftest import Cli

LINE = re.compile(r"^ +(\S+)(?: {2,}.*?)? {2,}(\S.*)$", re.MULTILINE)


def everything(command: str) -> str:
    return help_text(command, ["all"], width=1000)


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(CONF_DIR) / group).glob("*.yaml") if path.stem != "base")


#: Groups of which several can be chosen; Hydra does not list them among its choices.
SEVERAL = {"callbacks", "logger"}


@pytest.fixture
def composing() -> Iterator[None]:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        yield


@pytest.mark.usefixtures("composing")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_and_every_choice_has_its_line(command: str) -> None:
    """Hydra composes each choice of each group that it knows: whatever is in it is explained."""
    lines = dict(LINE.findall(everything(command)))
    groups = [path.relative_to(CONF_DIR).as_posix() for path in Path(CONF_DIR).rglob("*") if path.is_dir()]
    whole = compose(command, return_hydra_config=True)
    used = {group for group in whole.hydra.runtime.choices if not group.startswith("hydra/")}
    added = {"experiment", "debug", *SEVERAL} if command == "train" else set()
    assert used | added == {group.name for group in read_catalogue(command).groups}
    assert used | added <= set(groups)
    overrides = [[f"{group}={name}"] for group in used for name in choices(group)]
    overrides += [[f"+{group}={name}"] for group in added & SEVERAL for name in choices(group)]
    for given in [[], *overrides]:
        for key in flatten(OmegaConf.to_container(compose(command, given))):
            if not any(part.startswith("_") for part in key.split(".")) and key not in used:
                assert lines.get(key), f"{key}, with {given}, is not explained"
    for group in used | added:
        section = everything(command).split(f"{group}=CHOICE", 1)[1].split("=CHOICE")[0]
        for name in choices(group):
            assert re.search(rf"^  {name} +\S", section, re.MULTILINE), f"{group}={name} is not explained"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [80, 100])
def test_the_first_screen_is_one_screen(command: str, width: int) -> None:
    shown = help_text(command, width=width)
    assert len(shown.splitlines()) <= 40
    assert max(map(len, shown.splitlines())) <= max(width, 90)
    for key in read_catalogue(command).needed:
        assert re.search(rf"^ +{re.escape(key)} ", shown, re.MULTILINE), key
    assert f"cryoalign {command} --help all" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_of_the_program_is_in_it(command: str) -> None:
    for text in (everything(command), help_text(command)):
        assert "_target_" not in text
        assert "_partial_" not in text
        assert "${" not in text


def test_the_default_and_the_choices_are_shown() -> None:
    shown = everything("train")
    assert re.search(r"data\.batch_size +8 +pairs in a batch", shown)
    assert re.search(r"test_checkpoint +last +.*\(last \| best\)", shown)
    assert re.search(r"data\.sim +required +metadata", shown)
    assert re.search(r"data\.seed +as seed +seed", shown)
    assert re.search(r"data\.augment +true +.*\(true \| false\)", shown)
    below = shown.split("with trainer=gpu:")[1]
    assert re.search(r"trainer\.accelerator +gpu", below)


def test_the_measures_are_named_as_they_are() -> None:
    """The comment on `measures` names them for the reader and for the completion."""
    keys = {key.name: key for _, key in read_catalogue("evaluate").all_keys()}
    config = yaml.safe_load((Path(CONF_DIR) / "evaluate.yaml").read_text())
    assert keys["measures"].choices == tuple(config["measure"])


@pytest.mark.parametrize(
    ("word", "there", "not_there"),
    [
        ("generator", "generator.size", "data.sim"),
        ("generator=spectral", "generator.noise_channels", "generator.width"),
        ("loss", "loss/adversarial=CHOICE", "data.sim"),
        ("data.split", "data.split.fractions.test", "data.normalization.range"),
        ("trainer.max_steps=5", "steps to train", "trainer.max_time"),
        ("+experiment=no_l1", "no_l1", "no_rpsd"),
    ],
)
def test_one_word_is_asked_about(word: str, there: str, not_there: str, cli: Cli) -> None:
    done = cli("train", "-h", word)
    assert done.code == 0
    assert there in done.out
    assert not_there not in done.out


def test_an_unknown_word_is_refused(cli: Cli) -> None:
    done = cli("train", "--help", "generater")
    assert done.code == 1
    assert "did you mean generator" in done.err
