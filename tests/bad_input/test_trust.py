"""What a user trusts in a run's folder, and where a continued run writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

import cryoalign
from cryoalign.errors import InputError
from cryoalign.runs.folder import read_run
from cryoalign.runs.trust import trusted_names
from cryoalign.train.slots import CONTINUING
from tests.bad_input.own_class import Gain
from tests.bad_input.strangers import has_run, write
from tests.conftest import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bad_input.strangers import Node, Tree
    from tests.conftest import Cli


@pytest.mark.parametrize(
    "trust", ["payload_class.Mine", ["payload_class.Mine"], ["my.Other", "payload_class.Mine"]]
)
def test_a_class_of_ones_own(trust: object, evil: dict[str, Node], settings: Tree, tmp_path: Path) -> None:
    node = evil["a class beside the run"]
    for place in ("generator", "generator.more.0"):
        folder = write(tmp_path / "run", settings, place, node)
        assert read_run(folder, CONTINUING, trusted_names(trust)).folder == folder
    folder = write(tmp_path / "run", settings, "generator", node | {"inner": evil["open"]})
    with pytest.raises(InputError, match=r"not known: generator\.inner"):
        read_run(folder, CONTINUING, trusted_names(trust))
    assert not has_run(tmp_path)


def test_a_run_of_ones_own_class(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Trained and tested as it is given on the command line; to be used again, it has to be named again."""
    target = "tests.bad_input.own_class.Gain"
    done = cli(
        "train", *SMALL, f"paths.cache={cache}", "hydra.run.dir=run", f"generator._target_={target}",
        "audit=off", "discriminator.width=4", "trainer.max_steps=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "test" / "fake.star").is_file()
    export = ("export", "run=run", "particles=run/test/sim.star", "progress=false")
    evaluate = ("evaluate", "run=run", "measures=[]", "progress=false")
    for name, *options in (export, (*evaluate, "out=judged"), ("train", "resume=run", "trainer.max_steps=2")):
        given = [*options, "out=fakes"] if name == "export" else options
        done = cli(name, *given)
        assert done.code == 1
        assert "not known: generator._target_\n  expected: a class of cryoalign that derives" in done.err
        done = cli(name, *given, f"trust=[{target}]")
        assert done.code == 0, done.err
    assert isinstance(cryoalign.load(tmp_path / "run", trust=Gain).generator, Gain)
    with pytest.raises(InputError, match="not known"):
        cryoalign.load(tmp_path / "run")


def test_a_stranger_cannot_trust_himself(
    evil: dict[str, Node], settings: Tree, cli: Cli, tmp_path: Path
) -> None:
    node = evil["a class beside the run"]
    folder = write(tmp_path / "run", settings | {"trust": ["payload_class.Mine"]}, "generator", node)
    with pytest.raises(InputError, match="not known: generator"):
        read_run(folder, CONTINUING)
    done = cli("train", "resume=run", "trainer.max_steps=2000")
    assert (done.code, "not known: generator" in done.err) == (1, True), done.err
    assert not has_run(tmp_path)


def test_trust_is_of_no_use_to_a_new_run(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "trust=[my.Class]")
    assert (done.code, "trust is for resume=" in done.err) == (1, True)
    assert not list(tmp_path.rglob("config.yaml"))


def test_what_is_trusted_is_named(cli: Cli, settings: Tree, tmp_path: Path) -> None:
    write(tmp_path / "run", settings, "generator", {"_target_": "my.Class"})
    (tmp_path / "a.star").touch()
    done = cli("export", "run=run", "particles=a.star", "out=new", "trust=[3]")
    assert (done.code, "trust cannot be used" in done.err) == (1, True)


# what a continued run writes


@pytest.mark.parametrize(
    "link", ["csv/metrics.csv", "checkpoints", "checkpoints/best.ckpt", "tensorboard", "figures"]
)
def test_a_link_out_of_the_folder(link: str, cli: Cli, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", settings)
    mine = tmp_path / "mine"
    mine.write_text("1")
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(mine)
    done = cli("train", "resume=run", "trainer.max_steps=2000")
    assert (done.code, f"a link to {mine}" in done.err) == (1, True)
    assert mine.read_text() == "1"


@pytest.mark.parametrize("name", ["../../mine", "/mine", "a/b", ".."])
def test_a_name_that_is_a_path(name: str, cli: Cli, settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "sweep" / "run", settings)
    (folder / "provenance.json").write_text(json.dumps({"name": name}))
    done = cli("train", "resume=sweep/run", "trainer.max_steps=2000")
    assert (done.code, "the name of this run is a path" in done.err) == (1, True)


def test_a_link_inside_the_folder_and_to_it(settings: Tree, tmp_path: Path, cli: Cli) -> None:
    """Such links do no harm: what is missing here is the split."""
    few = {"box": 32, "particles": 40, "micrographs": 10}
    folder = write(tmp_path / "elsewhere" / "run", settings, "data.embedded", few)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").symlink_to("best.ckpt")
    (tmp_path / "run").symlink_to(folder)
    done = cli("train", "resume=run", "trainer.max_steps=2000", "hydra.run.dir=x")
    assert (done.code, "split.csv: this split cannot be read" in done.err) == (1, True), done.err


def test_a_checkpoint_of_other_networks(copied: Path, cli: Cli) -> None:
    """A continued run says so before it cuts its log."""
    path, log = copied / "checkpoints" / "last.ckpt", (copied / "csv" / "metrics.csv").read_text()
    content = torch.load(path, weights_only=True)
    name = next(name for name in content["state_dict"] if name.startswith("generator."))
    for change in (
        {"state_dict": content["state_dict"] | {name: torch.zeros(3)}},
        {"optimizer_states": [{}]},
    ):
        torch.save(content | change, path)
        done = cli("train", f"resume={copied}", "trainer.max_steps=8")
        assert (done.code, "last.ckpt: this checkpoint does not fit" in done.err) == (1, True), done.err
    assert (copied / "csv" / "metrics.csv").read_text() == log
