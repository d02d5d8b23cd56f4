"""The embedded data set is made on first use and found in its cache afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from cryoalign.embedded import cache
from cryoalign.embedded.datamodule import EmbeddedDataModule

if TYPE_CHECKING:
    from pathlib import Path


def test_the_embedded_set_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = {"box": 32, "particles": 20, "micrographs": 10}

    def module() -> EmbeddedDataModule:
        made = EmbeddedDataModule(tmp_path, recipe)
        made.prepare_data()
        made.setup()
        return made

    first = module()
    assert {part: len(first.rows[part]) for part in first.rows} == {"train": 16, "validation": 2, "test": 2}
    assert first.box == 32
    batch = next(iter(first.evaluation_loader("test")))
    assert batch["sim"].shape == (2, 1, 32, 32)

    def rebuild(*_: object) -> None:
        raise AssertionError("the set was made again")

    monkeypatch.setattr(cache, "_build", rebuild)
    second = module()
    assert second.files() == first.files()
    assert torch.equal(next(iter(second.evaluation_loader("test")))["raw"], batch["raw"])
    with pytest.raises(AssertionError, match="made again"):
        EmbeddedDataModule(tmp_path, recipe | {"seed": 1}).prepare_data()
