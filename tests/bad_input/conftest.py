"""What every bad input must lead to, and how files are spoiled for it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile

from tests.bad_input.strangers import Node, Tree, evil_nodes, stored
from tests.conftest import SMALL, Cli, Done

COMMANDS = ("evaluate", "export", "simulate")
TRAIN = ("data=stars", "data.sim=sim/sim.star", "data.raw=raw.star", "+debug=smoke", *SMALL[3:])
SIMULATE = ("particles=raw.star", "volume=volume.mrc", "out=new", "progress=false")
RAW, STACK = "raw.star", "raw.mrcs"

Refused = Callable[..., None]
Spoil = Callable[[Path], object]


@pytest.fixture
def pairs(run: Path, tmp_path: Path) -> Path:
    """A copy of the files that the session's run was trained on, in the folder where `cli` runs."""
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (folder,) = (file.parent for file in files if file.name == RAW)
    for name in (RAW, STACK, "volume.mrc", "sim"):
        source = folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def needed(name: str, run: Path) -> list[str]:
    """What a command has to be given, with the output in new/."""
    if name == "simulate":
        return list(SIMULATE)
    more = ["particles=sim/sim.star"] if name == "export" else []
    return [f"run={run}", *more, "out=new", "progress=false"]


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the session's run, to be spoiled."""
    return shutil.copytree(run, tmp_path / "copied", ignore=shutil.ignore_patterns("tensorboard"))


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Node]:
    """What a stranger may name; the mark of one that ran is ``tmp_path / "mark"``."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EVIL", "builtins.open")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return evil_nodes(tmp_path)


@pytest.fixture(scope="session")
def settings() -> Tree:
    """What a training stores, as far as it matters here."""
    return stored()


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with what the file holds."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(cli: Cli, tmp_path: Path) -> Callable[..., None]:
    """Run a command that must refuse.

    Nothing may have changed but for the folder of all runs, which has to be empty, and what `leaves` names.
    """

    def call(name: str, *arguments: str, says: tuple[str, ...], leaves: tuple[str, ...] = ()) -> None:
        before = tree(tmp_path)
        done: Done = cli(name, *arguments)
        assert done.code == 1, done.err
        assert "Traceback" not in done.err, done.err
        assert "error: " in done.err
        for words in says:
            assert words in done.err, f"{words!r} is not in:\n{done.err}"
        new = {path: content for path, content in tree(tmp_path).items() if before.get(path) != content}
        assert set(new) <= {"outputs", "outputs/train", *leaves}, new
        assert before.keys() <= tree(tmp_path).keys()

    return call


# what files can be spoiled with


def without_columns(path: Path, *labels: str) -> None:
    """Take columns out of every table of a STAR file that has them."""
    tables = starfile.read(path, always_dict=True)
    starfile.write(
        {
            name: table.drop(columns=[label for label in labels if label in table])
            for name, table in tables.items()
        },
        path,
    )


def with_column(
    path: Path, label: str, value: object, table: str = "particles", rows: slice = slice(None)
) -> None:
    """Set a column of a table of a STAR file."""
    tables = starfile.read(path, always_dict=True)
    column = tables[table][label].to_numpy(dtype=object) if label in tables[table] else np.full(60, None)
    column[rows] = value
    tables[table][label] = column
    starfile.write(tables, path)


def with_image(path: Path, images: int | slice, value: float) -> None:
    """Fill images of a stack, counted from 0."""
    with mrcfile.open(path, "r+") as stack:
        stack.data[images] = value


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)


def with_pixel_size(path: Path, value: float) -> None:
    with mrcfile.open(path, "r+") as stack:
        stack.voxel_size = value
