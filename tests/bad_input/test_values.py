"""Bad values: of the split, of the configuration of a run, of the other commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_input.conftest import COMMANDS, TRAIN, Refused, needed, without_columns
from tests.conftest import SMALL

if TYPE_CHECKING:
    from pathlib import Path

# the split


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["data.split.by=rlnClassNumber"],
            ["raw.star", "column to split by is missing", "rlnClassNumber", "split.by="],
        ),
        (
            ["data.split.by=rlnOpticsGroup"],
            ["raw.star", "fewer groups than parts", "at least 3", "found: 1: 1", "remedy"],
        ),
        (["data.split.pattern=tomo_"], ["raw.star, row 1", "tomo_", "mic_000.mrc", "remedy"]),
        (["data.split.pattern='(a'"], ["data.split.pattern", "(a", "regular expression"]),
        (["data.split.kind=file"], ["data.split.file=FILE"]),
        (["data.split.kind=file", "data.split.file=gone.csv"], ["gone.csv", "no such file"]),
        (
            ["data.split.kind=file", "data.split.file=split.csv"],
            ["raw.star, row 3", "split.csv", "3@raw.mrcs", "remedy"],
        ),
        (["data.split.kind=random"], ["data.split.kind", "groups, half or file", "random"]),
        (["data.split.fractions.train=0.9"], ["fractions", "sum 1", "train=0.9", "remedy"]),
    ],
    ids=lambda value: value[-1] if value[0].startswith("data") else "",
)
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
        ("data.batch_size=0", ["data.batch_size", "1 or more", "found: 0"]),
        ("data.batch_size=abc", ["data.batch_size", "abc"]),
        ("data.workers=-1", ["data.workers", "0 to 256", "found: -1"]),
        ("data.box=1", ["data.box", "found: 1"]),
        (
            "data.normalization.range=max",
            ["data.normalization.range", "none, minmax or percentiles", "found: max"],
        ),
        ("data.normalization.radius=2", ["data.normalization.radius", "above 0 and up to 1", "found: 2"]),
        ("data.embedded.box=8", ["embedded data set", "expected", "box 8"]),
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
        ("trainer.accelerator=quantum", ["accelerator", "quantum"]),
        ("threads=0", ["threads", "found: 0"]),
        ("threads=100000", ["threads is out of range", "1 to 1024", "found: 100000", "leave threads= out"]),
        ("data.workers=100000", ["data.workers is out of range", "0 to 256"]),
        ("data.fit_images=0", ["data.fit_images is out of range", "1 or more", "found: 0"]),
        (
            "data.normalization.percentiles=[5]",
            [
                "data.normalization.percentiles cannot be used",
                "a list of 2 numbers",
                "found: [5]",
                "=[0.5,99.5]",
            ],
        ),
        ("data.normalization.percentiles=[99,5]", ["data.normalization.percentiles", "0 <= low < high"]),
        ("generator.width=0", ["generator.width is out of range", "found: 0"]),
        ("generator.depth=1.5", ["the U-Net's depth", "1 to 4 for 32 px", "found: 1.5"]),
        ("generator.noise_channels=-1", ["generator.noise_channels is out of range", "found: -1"]),
        ("discriminator.width=0", ["discriminator.width is out of range", "found: 0"]),
        ("trainer.limit_val_batches=0", ["trainer.limit_val_batches is out of range", "above 0"]),
        ("trainer.limit_val_batches=0.1", ["leaves nothing to validate", "has 2 batches", "found: 0.1"]),
        ("trainer.num_nodes=0", ["trainer.num_nodes is out of range", "1 or more"]),
        ("trainer.num_nodes=2", ["several machines need a strategy", "trainer=ddp trainer.num_nodes=2"]),
        ("trainer.devices=0", ["trainer.devices is out of range", "1 or more"]),
        ("trainer.max_time=5", ["trainer.max_time is not a time", "DD:HH:MM:SS", "found: 5", "remedy"]),
        ("optimizer.clip=abc", ["optimizer.clip", "a number", "found: abc"]),
        ("data.augment=maybe", ["data.augment", "true or false", "found: maybe"]),
    ],
)
def test_values(option: str, says: list[str], cache: Path, run: Path, refused: Refused) -> None:
    refused("train", "+debug=smoke", *SMALL, f"paths.cache={cache}", option, says=tuple(says))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "part=all"], ["part", "found: all"]),
        (["evaluate", "device=abacus"], ["device", "auto, cpu, cuda", "abacus"]),
        (["evaluate", "device=cuda:99"], ["this device cannot be used", "auto, cpu, cuda", "cuda:99"]),
        (["export", "draws=0"], ["draws is out of range", "1 or more", "found: 0"]),
        (["evaluate", "threads=100000"], ["threads is out of range", "1 to 1024"]),
        (["export", "workers=many"], ["workers", "whole number", "found: many"]),
        (["export", "workers=100000"], ["workers is out of range", "0 to 256"]),
        (["export", "device=gpu"], ["auto, cpu, cuda", "found: gpu", "did you mean device=cuda?"]),
        (
            ["simulate", "volume_pixel_size=0"],
            ["volume_pixel_size is out of range", "above 0 A", "found: 0 A"],
        ),
        (["simulate", "box=1000000"], ["box size is out of range", "2 to 4096 px", "found: 1000000 px"]),
        (["export", "device=abacus"], ["device", "auto, cpu, cuda", "abacus"]),
        (["simulate", "batch_size=0"], ["batch_size", "found: 0"]),
        (["simulate", "box=abc"], ["box", "whole number", "found: abc"]),
        (["simulate", "box=1"], ["box size", "found: 1 px", "remedy"]),
    ],
    ids=lambda value: value[-1] if value[0] in COMMANDS else "",
)
def test_values_of_the_other_commands(
    arguments: list[str], says: list[str], run: Path, pairs: Path, refused: Refused
) -> None:
    name, *options = arguments
    refused(name, *needed(name, run), *options, says=tuple(says))
