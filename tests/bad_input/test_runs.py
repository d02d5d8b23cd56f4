"""Bad run folders and checkpoints, runs that cannot be continued, and stacks that a run cannot refine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from omegaconf import OmegaConf

from tests.bad_input.conftest import (
    COMMANDS,
    RAW,
    SIMULATE,
    STACK,
    TRAIN,
    Refused,
    Spoil,
    cut,
    needed,
    with_column,
    with_pixel_size,
)
from tests.bad_input.test_files import STACKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli


def spoil_config(folder: Path, key: str, value: object) -> None:
    cfg = OmegaConf.load(folder / "config.yaml")
    OmegaConf.update(cfg, key, value)
    OmegaConf.save(cfg, folder / "config.yaml")


def cut_checkpoint(folder: Path) -> None:
    cut(folder / "checkpoints" / "last.ckpt")


RUNS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (shutil.rmtree, ("copied", "does not exist", "cryoalign train", "remedy")),
    "no run": (
        lambda f: (f / "data.json").unlink(),
        ("copied", "not the folder of a run", "data.json", "remedy"),
    ),
    "no configuration": (
        lambda f: (f / "config.yaml").write_text("a: [1"),
        ("config.yaml", "cannot be read"),
    ),
    "no description": (lambda f: (f / "data.json").write_text("{"), ("data.json", "cannot be read")),
    "no checkpoint": (
        lambda f: shutil.rmtree(f / "checkpoints"),
        ("last.ckpt", "no such checkpoint", "no checkpoint at all", "train it again"),
    ),
    "another configuration": (
        lambda f: spoil_config(f, "generator.width", 8),
        ("last.ckpt", "generator.width differs", "expected: 8", "found: 24", "remedy"),
    ),
    "empty checkpoint": (
        lambda f: (f / "checkpoints" / "last.ckpt").write_bytes(b""),
        ("last.ckpt", "not a checkpoint", "remedy"),
    ),
    "garbage": (
        lambda f: (f / "checkpoints" / "last.ckpt").write_bytes(b"no" * 999),
        ("last.ckpt", "not a checkpoint", "remedy"),
    ),
    "truncated": (cut_checkpoint, ("last.ckpt", "not a checkpoint", "remedy")),
    "of another program": (
        lambda f: torch.save({"state_dict": {}}, f / "checkpoints" / "last.ckpt"),
        ("last.ckpt", "not a checkpoint"),
    ),
    "a list": (lambda f: torch.save([1], f / "checkpoints" / "last.ckpt"), ("last.ckpt", "not a checkpoint")),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("evaluate", name) for name in RUNS),
        *(
            ("train", name)
            for name in ("missing", "no run", "no checkpoint", "another configuration", "garbage")
        ),
        *(("export", name) for name in ("no run", "no checkpoint")),
    ],
)
def test_runs(command: str, name: str, copied: Path, pairs: Path, refused: Refused) -> None:
    spoil, says = RUNS[name]
    spoil(copied)
    arguments = needed(command, copied) if command in COMMANDS else ["resume=copied", "trainer.max_steps=8"]
    refused(command, *arguments, says=says)


def test_an_export_of_weights_that_are_not_finite(copied: Path, pairs: Path, refused: Refused) -> None:
    path = copied / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    for name, value in content["state_dict"].items():
        if name.startswith("generator."):
            value.fill_(float("nan"))
    torch.save(content, path)
    refused(
        "export",
        *needed("export", copied),
        says=("row 1: the fake of this image is not finite", "checkpoint="),
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("pytorch-lightning_version", "1e308"), ("loops", {}), ("cryoalign.random", {"cpu": 1})],
)
def test_a_checkpoint_that_cannot_be_restored(key: str, value: object, copied: Path, cli: Cli) -> None:
    path = copied / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    part, _, name = key.rpartition(".")
    (content[part] if part else content)[name] = value
    torch.save(content, path)
    done = cli("train", "resume=copied", "trainer.max_steps=8")
    assert done.code == 1, done.err
    assert "last.ckpt: " in done.err
    assert "fault" not in done.err


def test_a_checkpoint_that_is_not_there(run: Path, refused: Refused) -> None:
    says = ("step_000099.ckpt", "'best.ckpt', 'last.ckpt'", "checkpoint=")
    refused("evaluate", f"run={run}", "out=new", "checkpoint=step_000099", says=says)


def test_a_part_that_is_not_there(run: Path, refused: Refused) -> None:
    says = ("unknown choice for part", "train, validation, test or held_out", "found: heldout")
    refused("evaluate", f"run={run}", "out=new", "part=heldout", says=says)


def test_data_that_are_no_longer_those_of_the_run(pairs: Path, cli: Cli, refused: Refused) -> None:
    """Some images change their micrograph, so that another split would come of it."""
    assert cli("train", *TRAIN, "trainer.max_steps=2", "test=false").code == 0
    (made,) = (pairs / "outputs" / "train").iterdir()
    made = made.rename(pairs / "made")
    with_column(pairs / RAW, "rlnMicrographName", "mic_099.mrc", rows=slice(0, 20))
    says = ("made", "no longer those of the run", "remedy")
    refused("evaluate", "run=made", "out=new", says=says)
    refused("train", "resume=made", "trainer.max_steps=4", says=says)
    (pairs / RAW).unlink()
    refused("evaluate", "run=made", "out=new", says=("raw.star", "no such file"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], ["reached its last step", "trainer.max_steps above 4", "remedy"]),
        (["trainer.max_steps=3"], ["reached its last step", "found: 3"]),
        (["trainer.max_steps=abc"], ["trainer.max_steps", "found: abc"]),
        (["trainer.max_steps=8", "trainer.max_time=soon"], ["trainer.max_time", "found: soon"]),
        (["trainer.max_steps=8", "seed=2"], ["seed cannot change", "trainer.max_steps or trainer.max_time"]),
        (["data.batch_size=8"], ["data.batch_size cannot change", "start a new run"]),
        (["generator=unet_128"], ["generator cannot change"]),
    ],
    ids=lambda value: " ".join(value) if not value or "=" in value[-1] else "",
)
def test_what_a_continued_run_may_not_change(
    options: list[str], says: list[str], copied: Path, refused: Refused
) -> None:
    refused("train", "resume=copied", *options, says=tuple(says))


@pytest.mark.parametrize("name", ["tensorboard", "csv", "figures", "checkpoints"])
def test_a_file_where_a_continued_run_needs_a_folder(name: str, copied: Path, refused: Refused) -> None:
    shutil.rmtree(copied / name, ignore_errors=True)
    (copied / name).touch()
    says = (f"copied/{name}", "a file stands where", "move it away")
    refused("train", "resume=copied", "trainer.max_steps=8", says=says)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("trainer.max_time", 5, ("trainer.max_time is not a time", "found: 5")),
        ("threads", 100000, ("threads is out of range", "found: 100000")),
        ("trainer.limit_val_batches", 0, ("trainer.limit_val_batches is out of range",)),
    ],
)
def test_a_stored_value_that_cannot_be(
    key: str, value: object, says: tuple[str, ...], copied: Path, refused: Refused
) -> None:
    spoil_config(copied, key, value)
    refused("train", "resume=copied", "trainer.max_steps=8", says=says)


# what an export is given


def test_an_export_of_another_pixel_size(run: Path, pairs: Path, refused: Refused) -> None:
    with_column(pairs / "sim" / "sim.star", "rlnImagePixelSize", 5.0, "optics")
    with_pixel_size(pairs / "sim" / "sim.mrcs", 5.0)
    says = ("sim.star", "trained on other images", "32 px at 7.0800 A/px", "32 px at 5.0000 A/px", "remedy")
    refused("export", *needed("export", run), says=says)


def test_an_export_of_another_box(run: Path, pairs: Path, refused: Refused, cli: Cli) -> None:
    assert cli("simulate", *SIMULATE[:2], "out=small", "box=24").code == 0
    says = ("sim.star", "trained on other images", "32 px at 7.0800 A/px", "24 px at 7.0800 A/px", "remedy")
    refused("export", f"run={run}", "particles=small/sim.star", "out=new", says=says)


@pytest.mark.parametrize("name", ["missing", "empty", "not an MRC", "truncated", "NaN"])
def test_an_export_of_a_bad_stack(name: str, run: Path, pairs: Path, refused: Refused) -> None:
    stack = pairs / "sim" / "sim.mrcs"
    shutil.copy(stack, pairs / STACK)
    spoil, says = STACKS[name]
    spoil(pairs)
    stack.unlink()
    if (pairs / STACK).exists():
        (pairs / STACK).rename(stack)
    refused("export", *needed("export", run), says=tuple(words.replace("raw", "sim") for words in says[:2]))
