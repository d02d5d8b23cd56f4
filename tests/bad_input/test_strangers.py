"""A run's folder from somebody else: nothing that it names runs but what is known, or trusted by the user."""

from __future__ import annotations

import contextlib
import gc
import sys
import warnings
from typing import TYPE_CHECKING

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

import cryoalign
from cryoalign.errors import InputError
from cryoalign.runs.folder import read_run
from cryoalign.runs.generator import REFINING
from cryoalign.train.slots import CONTINUING, JUDGING
from tests.bad_input.strangers import NODES, RUN_IN_HYDRA, has_run, stored, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bad_input.strangers import Node, Tree
    from tests.conftest import Cli

#: Where a stranger may write a target: the part itself, an argument, in a list, deep in what nothing reads.
IN_GENERATOR = ("generator", "generator.width", "generator.more.0", "generator.more.deep.0.deeper")
IN_JUDGED = (
    "discriminator",
    "discriminator.width",
    "loss",
    "loss.l1",
    "loss.adversarial",
    "loss.weights.gan",
    "loss.new",
    "data",
    "data.tolerances",
    "data.split.by",
    "data.passthrough.0",
)
IN_CONTINUED = (
    "optimizer",
    "optimizer.algorithm",
    "optimizer.algorithm.betas.1",
    "optimizer.clip",
    "trainer",
    "trainer.devices.0",
    "trainer.strategy",
    "trainer.max_steps",
    "callbacks",
    "callbacks.evil",
    "callbacks.evil.0",
    "callbacks.figures.every",
    "callbacks.last_checkpoint",
    "logger",
    "logger.evil",
    "logger.csv.folder",
)
#: An evaluation builds nothing of these, but reads a number that stands there or below.
NUMBERS_OF_JUDGING = ("optimizer", "trainer", "trainer.max_steps")
#: Who refuses what stands there: a refinement, an evaluation, a continued training.
PLACES = (
    (IN_GENERATOR, True, True, True),
    (IN_JUDGED, False, True, True),
    (IN_CONTINUED, False, False, True),
)


@pytest.mark.parametrize("name", RUN_IN_HYDRA)
def test_these_do_run_where_nobody_looks(name: str, evil: dict[str, Node], tmp_path: Path) -> None:
    """Hydra alone builds them: the tests below would see it."""
    with warnings.catch_warnings(action="ignore"):
        with contextlib.suppress(Exception):  # what was read is no tensor: the mark is there all the same
            instantiate(evil[name])
        gc.collect()  # files are closed
    assert has_run(tmp_path)
    for module in ("payload", "payload_class"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("name", NODES)
def test_nothing_runs(name: str, evil: dict[str, Node], settings: Tree, tmp_path: Path) -> None:
    """Neither in what a command builds, where it is refused, nor elsewhere, where it stays text."""
    number = list(NODES).index(name)
    for places, *others in PLACES:
        place = places[number % len(places)]
        folder = write(tmp_path / "theirs", settings, place, evil[name])
        for slots, refused in zip((REFINING, JUDGING, CONTINUING), others, strict=True):
            if slots is JUDGING and place in NUMBERS_OF_JUDGING:
                with pytest.raises(InputError, match=rf"{place}(\.\w+)? cannot be used") as refusal:
                    read_run(folder, slots)
                assert refusal.value.file == folder / "config.yaml"
                continue
            if not refused:
                read_run(folder, slots)
                continue
            with pytest.raises(InputError, match="not known") as refusal:
                read_run(folder, slots)
            assert refusal.value.file == folder / "config.yaml"
            assert place in refusal.value.problem
    assert not has_run(tmp_path)


@pytest.mark.parametrize("place", [place for places, *_ in PLACES for place in places])
def test_in_every_place(place: str, evil: dict[str, Node], settings: Tree, tmp_path: Path) -> None:
    folder = write(tmp_path / "theirs", settings, place, evil["open"])
    with pytest.raises(InputError, match=f"not known: {place}"):
        read_run(folder, CONTINUING)
    assert not has_run(tmp_path)


COMMANDS: dict[str, tuple[str, ...]] = {
    "export": ("generator.more.0", "particles=sim.star", "out=new"),
    "evaluate": ("data.tolerances", "out=new"),
    "train": ("optimizer.algorithm",),
}


@pytest.mark.parametrize("name", list(NODES)[::5])
def test_no_command_runs_it(
    name: str, evil: dict[str, Node], settings: Tree, tmp_path: Path, cli: Cli
) -> None:
    command = list(COMMANDS)[list(NODES).index(name) // 5 % 3]
    place, *options = COMMANDS[command]
    folder = write(tmp_path / "theirs", settings, place, evil[name])
    (tmp_path / "sim.star").touch()
    before = {path.name for path in tmp_path.rglob("*")}
    done = cli(command, f"{'resume' if command == 'train' else 'run'}={folder}", *options)
    assert done.code == 1
    assert f"{folder}/config.yaml: this run names something that is not known: {place}" in done.err
    assert "Traceback" not in done.err
    assert "trust=[MODULE.CLASS]" in done.err
    assert {path.name for path in tmp_path.rglob("*")} == before
    with pytest.raises(InputError, match="not known: generator"):
        cryoalign.load(write(tmp_path / "theirs", settings, "generator", evil[name]))
    assert not has_run(tmp_path)


@pytest.mark.parametrize(
    "overrides",
    [
        ("generator=unet", "loss=proper", "+callbacks=[early_stopping,learning_rate]", "+logger=wandb"),
        ("generator=unet", "discriminator=ring_critic", "loss/adversarial=hinge", "trainer=ddp"),
        ("generator=physical", "data=stars", "data.sim=a", "data.raw=b", "loss/adversarial=vanilla"),
        ("generator=unet_128", "optimizer.algorithm._target_=torch.optim.SGD", "~optimizer.algorithm.betas"),
        ("generator=transplant", "optimizer.algorithm._target_=torch.optim.adamw.AdamW", "trainer=gpu"),
        *((f"generator={name}",) for name in ("identity", "white_noise", "spectral", "unet_256")),
    ],
    ids=lambda overrides: overrides[0],
)
def test_what_comes_with_cryoalign_is_known(overrides: tuple[str, ...], tmp_path: Path) -> None:
    folder = write(tmp_path / "run", stored(*overrides))
    assert read_run(folder, CONTINUING).cfg.seed == 1


@pytest.mark.parametrize(
    ("place", "target", "says"),
    [
        (
            "generator",
            "cryoalign.models.patchgan.PatchGAN",
            "derives from cryoalign.models.generator.Generator",
        ),
        ("discriminator", "cryoalign.models.unet.UNet", "cryoalign.models.discriminator.Discriminator"),
        ("loss.l1", "cryoalign.losses.adversarial.Hinge", "cryoalign.losses.score.Score"),
        ("data", "torch.optim.Adam", "cryoalign.data.datamodule.PairedDataModule"),
        ("optimizer.algorithm", "torch.optim.lr_scheduler.LambdaLR", "torch.optim.optimizer.Optimizer"),
        ("trainer.strategy", "lightning.pytorch.strategies.DeepSpeedStrategy", "DDPStrategy"),
        ("callbacks.more", "lightning.pytorch.callbacks.OnExceptionCheckpoint", "EarlyStopping"),
        ("logger.more", "cryoalign.train.loggers.build_loggers", "cryoalign.train.loggers.table or"),
        ("data.embedded", "cryoalign.models.unet.UNet", "nothing that is built, in this place"),
    ],
)
def test_what_is_known_stays_in_its_place(
    place: str, target: str, says: str, settings: Tree, tmp_path: Path
) -> None:
    folder = write(tmp_path / "run", settings, place, {"_target_": target})
    with pytest.raises(InputError, match="not known") as refusal:
        read_run(folder, CONTINUING)
    assert says in str(refusal.value.expected)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("generator._partial_", True), ("generator._args_", [1]), ("data._recursive_", False),
        ("loss._convert_", "all"), ("callbacks.figures._args_", [1]), ("logger._recursive_", False),
        ("trainer.default_root_dir", "/"), ("trainer.plugins", "x"), ("trainer.model_registry", "theirs"),
    ],
)  # fmt: skip
def test_arguments_that_no_run_has(place: str, value: object, settings: Tree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"argument that is not known: {place}"):
        read_run(write(tmp_path / "run", settings, place, value), CONTINUING)


def test_nothing_is_looked_up(settings: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run stores what it used: ``${...}`` in it is the name of a folder, or an attempt."""
    monkeypatch.setenv("SECRET", "key")
    for text in ("${oc.env:SECRET}", "/a/${b}/c", "\\${oc.env:SECRET}", "\\\\${seed}", "$ { }"):
        folder = write(tmp_path / "run", settings, "data.sim", text)
        cfg = read_run(folder, CONTINUING).cfg
        assert cfg.data.sim == text
        assert OmegaConf.to_container(cfg, resolve=True)["data"]["sim"] == text  # type: ignore[call-overload,index]
