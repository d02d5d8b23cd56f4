"""``--help`` says what each key and each choice is, and brings the needed ones on one screen."""

from __future__ import annotations

import re
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

#: A key, its default and its text.
LINE = re.compile(r"^ +(\S+) {2,}(?:\S.*?) {2,}(\S.*)$", re.MULTILINE)


def everything(command: str) -> str:
    return help_text(command, ["all"], width=1000)


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(CONF_DIR) / group).glob("*.yaml") if path.stem != "base")


def keys_of(group: str) -> set[str]:
    """All keys in the files of a group, but of those that change keys of others."""
    found: set[str] = set()
    for path in (Path(CONF_DIR) / group).glob("*.yaml"):
        text = path.read_text()
        if "@package _global_" not in text:
            found |= set(
                flatten({key: value for key, value in yaml.safe_load(text).items() if key != "defaults"})
            )
    return {f"{group.replace('/', '.')}.{key}" for key in found}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_and_every_choice_has_its_line(command: str) -> None:
    lines = dict(LINE.findall(everything(command)))
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        whole = compose(command)
    groups = {group.name for group in read_catalogue(command).groups}
    keys = set(flatten(OmegaConf.to_container(whole))) - groups
    for key in keys.union(*map(keys_of, groups)):
        if not any(part.startswith("_") for part in key.split(".")):
            assert lines.get(key), f"{key} is not explained"
    for group in groups:
        section = everything(command).split(f"{group}=CHOICE", 1)[1].split("=CHOICE")[0]
        for name in choices(group):
            assert re.search(rf"^  {name} +\S", section, re.MULTILINE), f"{group}={name} is not explained"


def test_every_group_belongs_to_a_command() -> None:
    files = (path for path in Path(CONF_DIR).rglob("*/*.yaml") if "hydra" not in path.parts)
    folders = {path.parent.relative_to(CONF_DIR).as_posix() for path in files}
    assert folders == {group.name for command in COMMANDS for group in read_catalogue(command).groups}


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
