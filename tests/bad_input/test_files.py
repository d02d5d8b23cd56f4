"""Bad files: metadata, stacks and volumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from tests.bad_input.conftest import (
    RAW,
    SIMULATE,
    STACK,
    TRAIN,
    Refused,
    Spoil,
    cut,
    tree,
    with_column,
    with_image,
    with_pixel_size,
    without_columns,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

# name: (what spoils the pairs, what the message says)
METADATA: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (lambda f: (f / RAW).unlink(), ("raw.star", "no such file", "expected: metadata of")),
    "empty": (lambda f: (f / RAW).write_text(""), ("raw.star", "empty", "remedy")),
    "binary": (lambda f: (f / RAW).write_bytes(bytes(4096)), ("raw.star", "not a STAR file", "binary")),
    "text": (lambda f: (f / RAW).write_text("a, b\n1, 2\n"), ("raw.star", "not a STAR file", "data_")),
    "a folder": (lambda f: ((f / RAW).unlink(), (f / RAW).mkdir()), ("raw.star", "a folder")),
    "cut off": (
        lambda f: (f / RAW).write_text((f / RAW).read_text().rstrip()[:-30]),
        ("raw.star, row 60", "values", "cut off"),
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
        lambda f: without_columns(f / RAW, "rlnVoltage"),
        ("raw.star", "CTF columns", "rlnVoltage", "remedy"),
    ),
    "no pixel size": (
        lambda f: without_columns(f / RAW, "rlnImagePixelSize"),
        ("raw.star", "no pixel size", "remedy"),
    ),
    "no number": (
        lambda f: with_column(f / RAW, "rlnDefocusU", "far", rows=slice(6, 7)),
        ("raw.star, row 7", "rlnDefocusU", "far", "remedy"),
    ),
    "no image name": (
        lambda f: with_column(f / RAW, "rlnImageName", "0@raw.mrcs", rows=slice(2, 3)),
        ("raw.star, row 3", "rlnImageName", "0@raw.mrcs"),
    ),
}

STACKS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (lambda f: (f / STACK).unlink(), ("raw.star, row 1", STACK, "tried", "root=")),
    "empty": (lambda f: (f / STACK).write_bytes(b""), (STACK, "empty", "remedy")),
    "not an MRC": (lambda f: (f / STACK).write_text("no" * 1000), (STACK, "not an MRC file", "MRC2014")),
    "truncated": (lambda f: cut(f / STACK), (STACK, "truncated", "59 whole sections", "remedy")),
    "image past the end": (
        lambda f: (
            with_column(f / RAW, "rlnImageName", "000061@raw.mrcs", rows=slice(0, 1)),
            with_column(f / "sim" / "sim.star", "rlnImageOriginalName", "000061@raw.mrcs", rows=slice(0, 1)),
        ),
        ("raw.star, row 1", "past the end", "1 to 60", "found: 61", "remedy"),
    ),
    "NaN": (
        lambda f: with_image(f / STACK, slice(0, 61), np.nan),
        ("raw.star, row", "image", STACK, "NaN", "data.bad_images=leave_out", "data.check=all"),
    ),
    "constant": (
        lambda f: with_image(f / STACK, slice(0, 61), 2),
        ("raw.star, row", "is constant", "leave_out"),
    ),
    "constant sim": (
        lambda f: with_image(f / "sim" / "sim.mrcs", slice(10, 21), 0),
        ("sim.star, row", "is constant", "leave_out"),
    ),
    "box of the metadata": (
        lambda f: [with_column(f / name, "rlnImageSize", 64, "optics") for name in (RAW, "sim/sim.star")],
        ("sim.star, row 1", "sim.mrcs", "64 px", "found: 32 px", "remedy"),
    ),
    "box of sim": (
        lambda f: with_column(f / RAW, "rlnImageSize", 64, "optics"),
        ("sim.star, row 1", "raw.star", "expected: 64 px", "found: 32 px", "remedy"),
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
        lambda f: with_column(
            f / "sim" / "sim.star", "rlnImageOriginalName", [f"{i + 61:06d}@raw.mrcs" for i in range(60)]
        ),
        ("sim.star, row 1", "raw image", "000061@raw.mrcs", "remedy"),
    ),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("simulate", name) for name in METADATA),
        ("train", "missing"),
        ("train", "empty"),
        ("train", "no poses"),
    ],
)
def test_metadata(command: str, name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = METADATA[name]
    spoil(pairs)
    refused(command, *(TRAIN if command == "train" else SIMULATE), says=says)


@pytest.mark.parametrize("name", STACKS)
def test_stacks(name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = STACKS[name]
    spoil(pairs)
    refused("train", *TRAIN, says=says)


def test_all_bad_images_are_named_and_counted_before_the_start(pairs: Path, refused: Refused) -> None:
    with_image(pairs / STACK, 4, np.nan)
    with_image(pairs / "sim" / "sim.mrcs", 6, 0)
    says = ("2 of 60 pairs", "000005@raw.mrcs: holds NaN", "000007@sim.mrcs: is constant", "leave_out")
    refused("train", *TRAIN, "data.check=all", says=says)


def test_bad_images_are_left_out_on_request(pairs: Path, cli: Cli) -> None:
    with_image(pairs / STACK, 4, np.nan)
    before = tree(pairs)
    done = cli("train", *TRAIN, "data.bad_images=leave_out", "trainer.max_steps=1", "test=false")
    assert done.code == 0, done.err
    assert "1 left out" in done.err
    (made,) = (pairs / "outputs" / "train").iterdir()
    assert json.loads((made / "data.json").read_text())["left_out"] == [
        "000005@raw.mrcs: holds NaN or infinite values"
    ]
    assert "000005@" not in (made / "split.csv").read_text()
    assert before.items() <= tree(pairs).items()


def test_an_image_that_a_worker_finds(pairs: Path, refused: Refused) -> None:
    with_image(pairs / STACK, slice(0, 61), np.nan)
    refused("train", *TRAIN, "data.workers=1", says=("raw.star, row", "NaN", "data.check=all"))


VOLUMES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (
        lambda f: (f / "volume.mrc").unlink(),
        ("volume.mrc", "no such file", "expected: map .mrc"),
    ),
    "empty": (lambda f: (f / "volume.mrc").write_bytes(b""), ("volume.mrc", "empty", "remedy")),
    "not an MRC": (lambda f: (f / "volume.mrc").write_text("no" * 1000), ("volume.mrc", "not an MRC file")),
    "truncated": (
        lambda f: cut(f / "volume.mrc"),
        ("volume.mrc", "truncated", "31 whole sections", "remedy"),
    ),
    "NaN": (lambda f: with_image(f / "volume.mrc", 3, np.nan), ("volume.mrc", "NaN", "finite values")),
    "constant": (
        lambda f: with_image(f / "volume.mrc", slice(0, 33), 1),
        ("volume.mrc", "constant", "1 everywhere"),
    ),
    "no cube": (
        lambda f: mrcfile.write(f / "volume.mrc", np.zeros((2, 9, 9), np.float32), overwrite=True),
        ("volume.mrc", "far from a cube", "9 x 9 x 2"),
    ),
    "no pixel size": (lambda f: with_pixel_size(f / "volume.mrc", 0), ("volume.mrc", "volume_pixel_size=")),
    "pixel size of another": (
        lambda f: with_pixel_size(f / "volume.mrc", 0.1),
        ("volume.mrc", "32 voxels of 0.1 A", "volume_pixel_size="),
    ),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes(name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = VOLUMES[name]
    spoil(pairs)
    refused("simulate", *SIMULATE, says=says)
