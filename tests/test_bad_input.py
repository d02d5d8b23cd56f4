"""Every bad input ends with a message that names file, expectation and remedy: no traceback, nothing half written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
import torch
from omegaconf import OmegaConf

from tests.conftest import SMALL, Cli, Done

TRAIN = ("data=stars", "data.sim=sim/sim.star", "data.raw=raw.star", "+debug=smoke", *SMALL[3:])
SIMULATE = ("particles=raw.star", "volume=volume.mrc", "out=new", "progress=false")
STACK, PIXEL_SIZE = "raw.mrcs", 7.08


@pytest.fixture
def pairs(run: Path, tmp_path: Path) -> Path:
    """A copy of the files that the session's run was trained on, in the folder where `cli` runs."""
    (raw,) = (name for name in json.loads((run / "provenance.json").read_text())["data"] if name.endswith("raw.star"))
    for name in ("raw.star", STACK, "volume.mrc", "sim"):
        source = Path(raw).with_name(name)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the session's run, to be spoiled."""
    return shutil.copytree(run, tmp_path / "copied", ignore=shutil.ignore_patterns("tensorboard", "test"))


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with what the file holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(cli: Cli, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must refuse; give its message in one line.

    Nothing may have changed but for the folder of all runs, which has to be empty.
    """

    def call(name: str, *arguments: str, says: tuple[str, ...]) -> str:
        before = tree(tmp_path)
        done: Done = cli(name, *arguments)
        assert done.code == 1, done.err
        assert "Traceback" not in done.err
        assert "error: " in done.err
        for words in says:
            assert words in done.err, f"{words!r} is not in:\n{done.err}"
        new = {path: content for path, content in tree(tmp_path).items() if before.get(path) != content}
        assert set(new) <= {"outputs", "outputs/train"}, new
        assert before.keys() <= tree(tmp_path).keys()
        return done.err

    return call


Refused = Callable[..., str]


# what the pairs can be spoiled with


def without_columns(path: Path, *labels: str) -> None:
    """Take columns out of every table of a STAR file that has them."""
    tables = starfile.read(path, always_dict=True)
    starfile.write(
        {name: table.drop(columns=[label for label in labels if label in table]) for name, table in tables.items()},
        path,
    )


def with_column(path: Path, label: str, value: object, table: str = "particles", rows: slice = slice(None)) -> None:
    """Set a column of a table of a STAR file."""
    tables = starfile.read(path, always_dict=True)
    column = tables[table][label].to_numpy(dtype=object) if label in tables[table] else np.full(60, None)
    column[rows] = value
    tables[table][label] = column
    starfile.write(tables, path)


def with_image(path: Path, number: int, value: float) -> None:
    """Fill an image of a stack, counted from 1."""
    with mrcfile.open(path, "r+") as stack:
        stack.data[number - 1] = value


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)


def with_pixel_size(path: Path, value: float) -> None:
    with mrcfile.open(path, "r+") as stack:
        stack.voxel_size = value


Spoil = Callable[[Path], object]

# name: (what spoils the pairs, what the message says)
RAW = "raw.star"
METADATA: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (lambda f: (f / RAW).unlink(), ("raw.star", "no such file", "expected: a STAR file")),
    "empty": (lambda f: (f / RAW).write_text(""), ("raw.star", "empty", "remedy")),
    "binary": (lambda f: (f / RAW).write_bytes(bytes(4096)), ("raw.star", "not a STAR file", "binary")),
    "text": (lambda f: (f / RAW).write_text("a, b\n1, 2\n"), ("raw.star", "not a STAR file", "data_")),
    "a folder": (lambda f: ((f / RAW).unlink(), (f / RAW).mkdir()), ("raw.star", "a folder")),
    "cut off": (
        lambda f: (f / RAW).write_text((f / RAW).read_text().rstrip()[:-30]), ("raw.star, row 60", "values", "cut off"),
    ),
    "no poses": (
        lambda f: without_columns(f / RAW, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"),
        ("raw.star", "no pose columns", "rlnAngleRot", "remedy"),
    ),
    "no defocus": (
        lambda f: without_columns(f / RAW, "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"),
        ("raw.star", "no CTF columns", "rlnDefocusU", "remedy"),
    ),
    "no voltage": (
        lambda f: without_columns(f / RAW, "rlnVoltage"), ("raw.star", "CTF columns", "rlnVoltage", "remedy"),
    ),
    "no pixel size": (
        lambda f: without_columns(f / RAW, "rlnImagePixelSize"), ("raw.star", "no pixel size", "remedy"),
    ),
    "no number": (
        lambda f: with_column(f / RAW, "rlnDefocusU", "far", rows=slice(6, 7)),
        ("raw.star, row 7", "rlnDefocusU", "far", "remedy"),
    ),
    "no image name": (
        lambda f: with_column(f / RAW, "rlnImageName", "0@raw.mrcs", rows=slice(2, 3)),
        ("raw.star, row 3", "rlnImageName", "0@raw.mrcs"),
    ),
}  # fmt: skip

STACKS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (lambda f: (f / STACK).unlink(), ("raw.star, row 1", STACK, "tried", "root=")),
    "empty": (lambda f: (f / STACK).write_bytes(b""), (STACK, "empty", "remedy")),
    "not an MRC": (lambda f: (f / STACK).write_text("no" * 1000), (STACK, "not an MRC file", "MRC2014")),
    "truncated": (lambda f: cut(f / STACK), (STACK, "truncated", "59 whole sections", "remedy")),
    "image past the end": (
        lambda f: with_column(f / "raw.star", "rlnImageName", "000061@raw.mrcs", rows=slice(0, 1)),
        ("row 1", "past the end", "1 to 60", "found: 61"),
    ),
    "NaN": (
        lambda f: with_image(f / STACK, 5, np.nan), ("raw.star, row 5", "image 5", "NaN", "data.bad_images=leave_out"),
    ),
    "constant": (lambda f: with_image(f / STACK, 60, 2), ("raw.star, row 60", "is constant", "leave_out")),
    "constant sim": (lambda f: with_image(f / "sim" / "sim.mrcs", 1, 0), ("sim.star, row 1", "is constant")),
    "box of the metadata": (
        lambda f: with_column(f / "raw.star", "rlnImageSize", 64, "optics"),
        ("raw.star, row 1", STACK, "64 px", "found: 32 px", "remedy"),
    ),
    "box of the stack": (
        lambda f: mrcfile.write(f / STACK, np.ones((60, 24, 24), np.float32), overwrite=True),
        ("raw.star, row 1", "32 px", "found: 24 px", "remedy"),
    ),
    "pixel size of the header": (
        lambda f: with_pixel_size(f / STACK, 5.0),
        ("raw.star, row 1", "7.08 A/px", "found: 5 A/px", "data.check_header=false"),
    ),
    "pixel size of sim": (
        lambda f: (
            with_column(f / "sim" / "sim.star", "rlnImagePixelSize", 5.0, "optics"),
            with_pixel_size(f / "sim" / "sim.mrcs", 5.0),
        ),
        ("sim.star, row 1", "field of view", "7.08 A/px", "5 A/px", "remedy"),
    ),
    "sim of other poses": (
        lambda f: with_column(f / "sim" / "sim.star", "rlnAngleRot", 3.25, rows=slice(8, 9)),
        ("sim.star, row 9", "differ in pose", "0.01 degrees", "remedy"),
    ),
    "sim of other particles": (
        lambda f: with_column(f / "sim" / "sim.star", "rlnImageOriginalName", "000061@raw.mrcs", rows=slice(3, 4)),
        ("sim.star, row 4", "raw image", "000061@raw.mrcs", "remedy"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("command", ["train", "simulate"])
def test_metadata(name: str, command: str, pairs: Path, refused: Refused) -> None:
    spoil, says = METADATA[name]
    spoil(pairs)
    refused(command, *(TRAIN if command == "train" else SIMULATE), says=says)


@pytest.mark.parametrize("name", STACKS)
def test_stacks(name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = STACKS[name]
    spoil(pairs)
    refused("train", *TRAIN, "data.check=all" if "constant" in name else "data.check=read", says=says)


def test_all_bad_images_are_named_and_counted_before_the_start(pairs: Path, refused: Refused) -> None:
    with_image(pairs / STACK, 5, np.nan)
    with_image(pairs / "sim" / "sim.mrcs", 7, 0)
    says = ("2 of 60 pairs", "000005@raw.mrcs: holds NaN", "000007@sim.mrcs: is constant", "leave_out")
    refused("train", *TRAIN, "data.check=all", says=says)


def test_bad_images_are_left_out_on_request(pairs: Path, cli: Cli) -> None:
    with_image(pairs / STACK, 5, np.nan)
    before = tree(pairs)
    done = cli("train", *TRAIN, "data.bad_images=leave_out", "trainer.max_steps=1", "test=false")
    assert done.code == 0, done.err
    assert "1 left out" in done.err
    (made,) = (pairs / "outputs" / "train").iterdir()
    assert json.loads((made / "data.json").read_text())["left_out"] == ["000005@raw.mrcs: holds NaN or infinite values"]
    assert "000005@" not in (made / "split.csv").read_text()
    assert before.items() <= tree(pairs).items()


def test_an_image_that_only_training_meets(pairs: Path, refused: Refused) -> None:
    """The normalization looks at a few images, so the bad one is met when its batch is made."""
    for number in range(1, 61):
        with_image(pairs / STACK, number, np.nan)
    says = ("raw.star, row", "NaN", "data.check=all")
    refused("train", *TRAIN, "data.workers=2", says=says)


VOLUMES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (lambda f: (f / "volume.mrc").unlink(), ("volume.mrc", "no such file", "expected: an MRC file")),
    "empty": (lambda f: (f / "volume.mrc").write_bytes(b""), ("volume.mrc", "empty", "remedy")),
    "not an MRC": (lambda f: (f / "volume.mrc").write_text("no" * 1000), ("volume.mrc", "not an MRC file")),
    "truncated": (lambda f: cut(f / "volume.mrc"), ("volume.mrc", "truncated", "31 whole sections", "remedy")),
    "NaN": (lambda f: with_image(f / "volume.mrc", 3, np.nan), ("volume.mrc", "NaN", "finite values")),
    "constant": (lambda f: with_image(f / "volume.mrc", slice(0, 33), 1), ("volume.mrc", "constant")),
    "no cube": (
        lambda f: mrcfile.write(f / "volume.mrc", np.zeros((8, 9, 9), np.float32), overwrite=True),
        ("volume.mrc", "not a cube", "9 x 9 x 8"),
    ),
    "no pixel size": (lambda f: with_pixel_size(f / "volume.mrc", 0), ("volume.mrc", "volume_pixel_size=")),
    "pixel size of another": (
        lambda f: with_pixel_size(f / "volume.mrc", 0.1), ("volume.mrc", "32 voxels of 0.1 A", "volume_pixel_size="),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes(name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = VOLUMES[name]
    spoil(pairs)
    refused("simulate", *SIMULATE, says=says)


# the split


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["data.split.by=rlnClassNumber"], ["raw.star", "column to split by is missing", "rlnClassNumber", "split.by="]),
        (["data.split.by=rlnOpticsGroup"], ["raw.star", "fewer groups than parts", "at least 3", "found: 1: 1", "remedy"]),
        (["data.split.pattern=tomo_"], ["raw.star, row 1", "tomo_", "mic_000.mrc", "remedy"]),
        (["data.split.pattern='(a'"], ["data.split.pattern", "(a", "regular expression"]),
        (["data.split.kind=file"], ["data.split.file=FILE"]),
        (["data.split.kind=file", "data.split.file=gone.csv"], ["gone.csv", "no such file"]),
        (["data.split.kind=file", "data.split.file=split.csv"], ["raw.star, row 3", "split.csv", "000003@raw.mrcs"]),
        (["data.split.kind=random"], ["data.split.kind", "groups, half or file", "random"]),
        (["data.split.fractions.train=0.9"], ["fractions", "sum 1", "train=0.9", "remedy"]),
    ],
    ids=lambda value: value[-1] if value[0].startswith("data") else "",
)  # fmt: skip
def test_splits(options: list[str], says: list[str], pairs: Path, refused: Refused) -> None:
    (pairs / "split.csv").write_text("rlnImageName,part\n1@raw.mrcs,train\n2@raw.mrcs,test\n")
    refused("train", *TRAIN, *options, says=tuple(says))


def test_half_sets_that_are_not_there(pairs: Path, refused: Refused) -> None:
    without_columns(pairs / "raw.star", "rlnRandomSubset")
    refused("train", *TRAIN, "data.split.kind=half", says=("raw.star", "rlnRandomSubset", "remedy"))


# values of the configuration


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("data.check=some", ["data.check", "read or all", "found: some"]),
        ("data.bad_images=drop", ["data.bad_images", "refuse or leave_out", "found: drop"]),
        ("data.batch_size=0", ["data.batch_size >= 1", "found: 0"]),
        ("data.batch_size=abc", ["data.batch_size", "abc"]),
        ("data.workers=-1", ["data.workers >= 0", "-1"]),
        ("data.box=1", ["data.box", "found: 1"]),
        ("data.normalization.range=max", ["data.normalization.range", "none, minmax or percentiles", "found: max"]),
        ("data.normalization.radius=2", ["data.normalization.radius", "(0, 1]", "found: 2"]),
        ("data.embedded.box=8", ["embedded data set", "expected"]),
        ("+data.embedded.colour=red", ["embedded data set", "colour"]),
        ("discriminator.field=70", ["70 px", "box of 32 px", "discriminator.field=auto"]),
        ("discriminator.field=33", ["discriminator.field", "found: 33"]),
        ("generator.head=relu", ["head", "relu"]),
        ("loss.weights.rpsd=-1", ["weights", "-1"]),
        ("monitor=val/loss", ["monitor", "val/RPSD_L1", "found: val/loss"]),
        ("test_checkpoint=first", ["test_checkpoint", "last or best", "found: first"]),
        ("trainer.max_steps=abc", ["trainer.max_steps", "whole number", "found: abc"]),
        ("trainer.max_steps=0", ["trainer.max_steps", "whole number", "found: 0"]),
        ("trainer.val_check_interval=1.5", ["trainer.val_check_interval", "whole number", "found: 1.5"]),
        ("seed=abc", ["seed", "abc"]),
        ("seed=-1", ["seed", "-1"]),
        ("optimizer.accumulate=0", ["optimizer.accumulate", "found: 0"]),
        ("optimizer.ema_decay=1", ["optimizer.ema_decay", "found: 1"]),
        ("optimizer.algorithm.lr=fast", ["fast"]),
        ("trainer.precision=8", ["precision", "8"]),
        ("trainer.max_time=soon", ["max_time", "soon"]),
        ("threads=0", ["threads", "found: 0"]),
    ],
)
def test_values(option: str, says: list[str], cache: Path, run: Path, refused: Refused) -> None:
    refused("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", option, says=tuple(says))


def test_values_of_the_other_commands(run: Path, pairs: Path, refused: Refused) -> None:
    refused("evaluate", f"run={run}", "out=new", "scale=log", says=("scale", "background or raw", "found: log"))
    refused("evaluate", f"run={run}", "out=new", "part=all", says=("part", "found: all"))
    export = ("export", f"run={run}", "particles=sim/sim.star", "out=new")
    refused(*export, "draws=0", says=("draws >= 1", "found: 0"))
    refused(*export, "device=abacus", says=("device", "abacus"))
    refused("simulate", *SIMULATE, "batch_size=0", says=("batch_size", "found: 0"))
    refused("simulate", *SIMULATE, "box=abc", says=("box", "abc"))
