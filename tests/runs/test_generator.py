"""The generator of a run without its LightningModule: with the weights that its test used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from omegaconf import OmegaConf

from cryoalign.errors import InputError
from cryoalign.runs.folder import read_run
from cryoalign.runs.generator import build_generator, load_generator
from cryoalign.train.build import load_system
from tests.conftest import SMALL

if TYPE_CHECKING:
    from tests.conftest import Cli


def test_the_weights_are_those_of_the_checkpoint(run: Path) -> None:
    generator, system = (load(read_run(run), "best") for load in (load_generator, load_system))
    expected = system.generator.state_dict()
    assert generator.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in generator.state_dict().items())
    assert not generator.training


def test_an_average_is_used_where_one_was_kept(cli: Cli, cache: Path) -> None:
    done = cli(
        "train", "+debug=smoke", *SMALL, f"paths.cache={cache}", "optimizer.ema_decay=0.9", "test=false",
        "generator.width=4", "discriminator.width=4", "audit=off", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    generator, system = (load(read_run("run"), "last") for load in (load_generator, load_system))
    assert system.average is not None
    sim, row = torch.randn(2, 1, 32, 32), torch.arange(2)
    with torch.no_grad():
        fake, in_training = (
            network.generate(sim, seed=1, identity=row, draw=row) for network in (generator, system.generator)
        )
    assert torch.equal(fake, system.refine(sim, row, {"identity": row}))
    assert not torch.equal(fake, in_training)


def test_what_is_no_generator_is_refused() -> None:
    cfg = OmegaConf.create({"generator": {"_target_": "cryoalign.models.patchgan.PatchGAN"}})
    with pytest.raises(InputError, match="not a generator"):
        build_generator(cfg, 32)
