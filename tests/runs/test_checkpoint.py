"""A checkpoint is there whole, the one before or the new one, whenever its writing ends."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from cryoalign.errors import InputError
from cryoalign.io.output import clear_parts
from cryoalign.runs import checkpoint
from cryoalign.runs.checkpoint import write_checkpoint


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """A checkpoint that was written before."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    write_checkpoint(path, {"step": 1})
    return path


def step(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["step"])


def test_it_is_replaced_by_way_of_its_own_folder(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    write_checkpoint(last, {"step": 2})
    assert step(last) == 2
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("place", ["open", "replace"])
def test_the_one_before_stays_until_the_new_one_is_whole(
    place: str, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(last, {"step": 2})
    assert step(last) == 1
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


def test_what_a_killed_process_left_is_overwritten_or_cleared(last: Path) -> None:
    part = last.with_name(".last.ckpt.part")
    part.write_bytes(b"half of it")
    write_checkpoint(last, {"step": 2})
    assert step(last) == 2
    assert not part.exists()
    part.write_bytes(b"half of it")
    clear_parts(last.parent)
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(InputError, match=r"last\.ckpt: there is no room"):
        write_checkpoint(last, {"step": 2})
    assert step(last) == 1
