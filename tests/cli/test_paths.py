"""What a command is given has to be there, which is found out before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from omegaconf import OmegaConf

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.command import COMMANDS
from cryoalign.cli.device import choose_device
from cryoalign.cli.paths import check_paths
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from tests.conftest import Cli


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "simulate particles=no.star volume=no.mrc out=x",
            "no.star: there is no such file\n  expected: metadata of the measured particles: .star, or .cs",
        ),
        (
            "simulate particles=a.star volume=no.mrc out=x",
            "no.mrc: there is no such file\n  expected: map .mrc",
        ),
        ("simulate particles=folder volume=a.star out=x", "folder: this is not a file\n"),
        (
            "simulate particles=a.star volume=[a.star,b] out=x",
            "b: there is no such file\n  expected: map .mrc",
        ),
        ("simulate particles=a.star volume={a:b} out=x", "expected: one path, or several: [A,B]"),
        ("simulate particles=[a.star] volume=a.star out=x", "particles cannot be used\n  expected: one path"),
        ("simulate particles={a:b} volume=a.star out=x", "particles cannot be used\n  expected: one path"),
        (
            "simulate particles= volume=a.star out=x",
            "particles cannot be used\n  expected: one path\n  found: nothing",
        ),
        ("simulate particles=20 volume=a.star out=x", """  found: 20\n  remedy: write 'particles="20"'\n"""),
        ("simulate particles=a.star volume=a.star out=[x]", "out cannot be used\n  expected: one path\n"),
        (
            "simulate particles=a${b}.star volume=a.star out=x",
            """if it belongs to a name, write 'particles="a\\${b}.star"'""",
        ),
        ("simulate particles=a\\${b}.star volume=a.star out=x", "a${b}.star: there is no such file\n"),
        ("simulate particles=a.star out=x", "volume has no default and was not given\n"),
        ("simulate particles=a.star volume=a.star root=no out=x", "no: there is no such folder\n"),
        (
            "simulate particles=a.star passthrough=[a.star,no.cs] volume=a.star out=x",
            "no.cs: there is no such file",
        ),
        (
            "simulate particles=a.star passthrough={a:b} volume=a.star out=x",
            "expected: one path, or several: [A,B]",
        ),
        (
            "simulate particles=1.star,2.star volume=a.star out=x",
            """one name is written 'particles="1.star,2.star"'""",
        ),
        ("audit sim=a.star raw=no.star", "no.star: there is no such file"),
        ("train data=stars data.sim=a.star data.raw=no.star", "no.star: there is no such file"),
        ("train data.split.file=no.csv", "no.csv: there is no such file\n  expected: table of image names"),
        ("train resume=no", "no: this folder does not exist\n  expected: a folder made by cryoalign train"),
        ("export run=folder particles=a.star out=x", "folder: this is not the folder of a run\n"),
        ("evaluate run=no", "no: this folder does not exist\n"),
        ("evaluate fake=a.star raw=a.star sim=no.star", "no.star: there is no such file"),
        ("evaluate fake=a.star raw=a.star sim=a.star train.sim=no.star", "no.star: there is no such file"),
    ],
)
def test_a_path_that_cannot_be_used(words: str, message: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.star").touch()
    (tmp_path / "folder").mkdir()
    done = cli(*words.split())
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert message in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in tmp_path.iterdir()} <= {"a.star", "folder", "outputs"}
    assert not list(tmp_path.glob("outputs/train/*"))


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", 'particles="~no_such_user/x.star"', "volume=a.star", "out=x"),
        ("export", 'run="~no_such_user/x"', "particles=a.star", "out=x"),
        ("train", 'resume="~no_such_user/x"'),
        ("report", 'runs="~no_such_user/x"', "out=x"),
    ],
)
def test_the_home_of_nobody_is_a_name(words: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.star").touch()
    done = cli(*words)
    assert done.code == 1
    assert "~no_such_user/x" in done.err
    assert "there is no such file" in done.err or "this folder does not exist" in done.err
    assert not list(tmp_path.glob("outputs/train/*"))


def test_a_folder_that_looks_like_a_home(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "~no_such_user").mkdir()
    (tmp_path / "~no_such_user" / "x.star").touch()
    done = cli("simulate", 'particles="~no_such_user/x.star"', "volume=no.mrc", "out=x")
    assert done.err.startswith("error: no.mrc: there is no such file")


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path of a command may begin with it, also one that is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.star").touch()
    cfg = OmegaConf.create(
        {"particles": "~/x.star", "volume": "~/x.star", "out": "~/new", "passthrough": ["~/x.star"]}
    )
    cfg.specimen = {"file": "${volume}"}
    check_paths(cfg, "simulate")
    x = str(tmp_path / "x.star")
    assert OmegaConf.to_container(cfg, resolve=True) == {
        "particles": x, "volume": x, "out": str(tmp_path / "new"), "passthrough": [x],
        "specimen": {"file": x},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "problem"), [("runs=", "runs cannot be used"), ("runs=['']", "runs cannot be used")]
)
def test_no_runs_are_not_all_runs(runs: str, problem: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.yaml").touch()
    done = cli("report", runs)
    assert done.code == 1
    assert done.err.startswith(f"error: {problem}\n")
    assert "remedy: write runs=PATH" in done.err


def test_a_device_is_no_folder(cli: Cli) -> None:
    done = cli("simulate", "particles=/dev/zero", "volume=v.mrc", "out=x")
    assert done.err.startswith("error: /dev/zero: this is not a file\n")
    assert "found: a device, a pipe or a socket\n" in done.err


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gpu", "did you mean device=cuda?"),
        ("GPU:1", "did you mean device=cuda:1?"),
        ("cdua", "did you mean device=cuda?"),
        ("abacus", "leave device= out"),
    ],
)
def test_a_device_that_nobody_has(name: str, remedy: str) -> None:
    with pytest.raises(InputError) as refused:
        choose_device(name)
    assert refused.value.expected == "auto, cpu, cuda or cuda:N"
    assert refused.value.found == name
    assert remedy in str(refused.value.remedy)


def test_nothing_heavy_is_imported_before() -> None:
    commands = [
        "simulate particles=no.star volume=no.mrc out=x", "audit sim=no.star raw=no.star", "evaluate run=no",
        "train data=stars data.sim=no.star data.raw=no.star", "train resume=no", "train data=stars",
        "export run=no particles=no.star out=x", "evaluate fake=no.star raw=no.star sim=no.star", "embedded",
    ]  # fmt: skip
    code = (
        "import importlib, sys\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "for words in sys.argv[1:]:\n"
        "    sys.argv = words.split()\n"
        "    GlobalHydra.instance().clear()\n"
        "    try:\n        importlib.import_module(f'cryoalign.{sys.argv[0]}.__main__').main()\n"
        "    except SystemExit as stop:\n        assert stop.code == 1\n"
        "    heavy = {'torch', 'lightning', 'scipy', 'matplotlib', 'numpy', 'pandas'}\n"
        "    print(words, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{words} []" for words in commands]


def test_every_key_for_a_file_is_marked_as_one() -> None:
    """By what its comment says: a new key cannot be forgotten."""
    for command in COMMANDS:
        for _, key in read_catalogue(command).all_keys():
            if key.text.startswith(("metadata", "passthrough", "map .mrc", "run ", "root ", "table ")):
                assert key.path, (command, key.name)
