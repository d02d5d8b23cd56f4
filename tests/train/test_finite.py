"""A training ends at the first step with a number that is none, and its last good checkpoint stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cryoalign.train.finite import Finite, NotFiniteError
from cryoalign.train.system import PairedGAN
from tests.conftest import SMALL, Cli, read_csv
from tests.train.test_stopping import checkpoint


def arguments(cache: Path, folder: Path, *more: str) -> list[str]:
    return [
        *SMALL, "generator.width=4", "discriminator.width=4", "trainer.max_steps=8", "log_every=1",
        "trainer.val_check_interval=2", "callbacks.step_checkpoints.every=1", "audit=off", "threads=1",
        f"paths.cache={cache}", f"hydra.run.dir={folder}", *more,
    ]  # fmt: skip


def broken_at(step: int) -> Any:
    """A training step before which a weight of the generator becomes NaN."""
    whole = PairedGAN.training_step

    def training_step(self: PairedGAN, batch: Any, batch_idx: int) -> None:
        if self.global_step == step - 1:
            with torch.no_grad():
                next(self.generator.parameters()).view(-1)[0] = float("nan")
        whole(self, batch, batch_idx)

    return training_step


def test_a_training_that_breaks_down(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairedGAN, "training_step", broken_at(4))
    folder = tmp_path / "run"
    done = cli("train", *arguments(cache, folder))
    assert done.code == 1
    assert "no longer finite at step 4: loss_D, loss_G, a weight" in done.err
    assert f"the last good checkpoint is {folder / 'checkpoints' / 'last.ckpt'}" in done.err
    assert "Traceback" not in done.err
    for path in (folder / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)
        assert state["global_step"] < 4
        assert all(torch.isfinite(value).all() for value in state["state_dict"].values()), path
    assert checkpoint(folder)["global_step"] == 2
    assert not (folder / "test").exists()
    assert max(int(row["step"]) for row in read_csv(folder)) == 3


def test_before_the_first_checkpoint_nothing_is_left(
    cache: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairedGAN, "training_step", broken_at(1))
    done = cli("train", *arguments(cache, tmp_path / "run"))
    assert done.code == 1
    assert "no longer finite at step 1" in done.err
    assert not (tmp_path / "run").exists()


def test_the_first_step_is_named_however_late_it_is_asked_for() -> None:
    network, finite = nn.Linear(2, 2), Finite()
    good, bad = torch.tensor(1.0), torch.tensor(float("inf"))
    finite.note(1, {"loss_G": good, "L1": bad}, network.parameters())
    finite.check(Path("run"))
    finite.note(2, {"loss_G": bad, "L1": good}, network.parameters())
    with torch.no_grad():
        network.bias[1] = float("nan")
    finite.note(3, {"loss_G": good, "L1": good}, network.parameters())
    with pytest.raises(NotFiniteError, match=r"at step 2: loss_G\n"):
        finite.check(Path("run"))


def test_a_weight_alone_is_seen_too() -> None:
    network, finite = nn.Linear(2, 2), Finite()
    with torch.no_grad():
        network.weight[0, 1] = float("-inf")
    finite.note(7, {"loss_G": torch.tensor(0.5)}, network.parameters())
    with pytest.raises(NotFiniteError, match=r"at step 7: a weight\n"):
        finite.check(Path("run"))
