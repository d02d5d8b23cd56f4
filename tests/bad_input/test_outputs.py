"""Outputs that are in the way, and disks without room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cryoalign.embedded.boxes import BoxRecipe
from tests.bad_input.conftest import COMMANDS, SIMULATE, Refused, needed
from tests.conftest import SMALL, Cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_exists(name: str, run: Path, pairs: Path, refused: Refused, cli: Cli) -> None:
    command = (name, *needed(name, run))
    assert cli(*command).code == 0
    refused(*command, says=("new", "exists already", "overwrite=true"))
    old = pairs / "new" / "from_before"
    old.touch()
    refused(*command, "overwrite=true", says=("new", "did not write there", "new/from_before", "elsewhere"))
    old.unlink()
    done = cli(*command, "overwrite=true")
    assert done.code == 0, done.err
    assert any((pairs / "new").glob("*.star"))
    assert not [path for path in pairs.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_of_somebody_else_is_never_replaced(
    name: str, run: Path, pairs: Path, refused: Refused
) -> None:
    (pairs / "new").mkdir()
    (pairs / "new" / "thesis.txt").touch()
    refused(name, *needed(name, run), "overwrite=true", says=("new", "cryoalign did not write it", "by hand"))


def test_what_is_never_replaced_is_not_offered(run: Path, pairs: Path, refused: Refused) -> None:
    shutil.copytree(run, pairs / "one")
    says = (
        "one: the output exists already",
        "found: the folder of a run",
        "overwrite=true does not replace this one",
    )
    refused("export", f"run={run}", "particles=sim/sim.star", "out=one", says=says)
    (pairs / "mine").mkdir()
    (pairs / "mine" / "thesis.txt").touch()
    says = ("mine/thesis.txt", "overwrite=true does not replace this one")
    refused("export", f"run={run}", "particles=sim/sim.star", "out=mine", says=says)


@pytest.mark.parametrize("options", [[], ["overwrite=true"]])
@pytest.mark.parametrize("name", ["simulate", "export"])
def test_the_root_is_no_output(
    name: str, options: list[str], run: Path, pairs: Path, refused: Refused
) -> None:
    arguments = [argument.replace("out=new", "out=/") for argument in needed(name, run)]
    refused(name, *arguments, *options, says=("/: this output cannot be written", "the root of all folders"))


@pytest.mark.parametrize("name", ["simulate", "export"])
def test_an_output_that_holds_the_input(name: str, run: Path, pairs: Path, refused: Refused) -> None:
    arguments = [*needed(name, run), "overwrite=true"]
    arguments[arguments.index("out=new")] = "out=."
    refused(name, *arguments, says=("holds an input", "choose another folder"))


@pytest.mark.parametrize("place", ["runs/one", "runs"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_training_is_never_replaced(
    name: str, place: str, run: Path, pairs: Path, refused: Refused
) -> None:
    shutil.copytree(run, pairs / "runs" / "one")
    arguments = [argument.replace("out=new", f"out={place}") for argument in needed(name, run)]
    refused(name, *arguments, "overwrite=true", says=(place, "of a run", "choose another folder"))


def test_a_run_folder_that_holds_something(cache: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").touch()
    arguments = ("+debug=smoke", *SMALL, f"paths.cache={cache}", "hydra.run.dir=mine")
    refused("train", *arguments, says=("mine", "holds something already", "remedy"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_without_room(
    name: str, run: Path, pairs: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    refused(name, *needed(name, run), says=("new", "no room", "free", "remedy"))


def test_a_disk_without_room_for_the_embedded_data(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    key = BoxRecipe(box=32, particles=60, micrographs=10).key
    lock = f"cache/.embedded_32px_{key}.lock"  # stays: to remove a lock is to share it
    refused("train", *SMALL, "paths.cache=cache", says=("no room", "remedy"), leaves=("cache", lock))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root, where mounting is allowed")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_stack_larger_than_the_disk(small_disk: Path, pairs: Path, refused: Refused) -> None:
    refused(
        "simulate", *SIMULATE[:2], "out=disk/new", "progress=false", says=("disk/.new", "no room", "remedy")
    )


def test_a_checkpoint_larger_than_the_disk(
    small_disk: Path, cache: Path, run: Path, refused: Refused
) -> None:
    arguments = ("+debug=smoke", *SMALL, f"paths.cache={cache}", "paths.outputs=disk")
    refused("train", *arguments, says=("no room", "remedy"), leaves=("disk", "disk/train"))
