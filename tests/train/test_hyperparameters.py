"""HPARAMS holds what a user varies, and shows first what a sweep varies."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.train.hyperparameters import RESULTS, hyperparameters
from cryoalign.train.loggers import log_hyperparameters, tensorboard
from cryoalign.train.naming import Origin

GIVEN = [
    "loss.weights.rpsd=0.5", "seed=2", "data.batch_size=4", "generator.width=8", "discriminator.width=4",
    "optimizer.clip=1.0", "trainer=cpu", "trainer.enable_progress_bar=false", "paths.cache=elsewhere",
    "callbacks.figures.every=5", "data.workers=2", "log_every=1",
]  # fmt: skip
VARIED = {"loss.weights.rpsd": "0.5", "seed": "2"}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose("train", list(overrides))


def test_what_was_given_is_shown_by_short_names_and_surroundings_are_not() -> None:
    origin = Origin("rpsd=0.5,seed=2", VARIED, GIVEN, {"generator": "unet", "data": "embedded"})
    found = hyperparameters(composed(*GIVEN), origin, box=64)
    assert found.values == {
        "generator": "unet", "discriminator": "PatchGAN", "loss": "Objective", "adversarial": "LeastSquares",
        "data": "embedded",
        "steps": 1000, "batch": 4, "seed": 2, "lr": 2e-4, "gan": 1, "l1": 1, "rpsd": 0.5, "noise maps": 0,
        "box": 64, "generator.width": 8, "discriminator.width": 4, "clip": 1,
    }  # fmt: skip
    assert found.varied == {"rpsd", "seed"}


def test_without_an_adversary_none_is_named() -> None:
    found = hyperparameters(composed("loss.weights.gan=0"), Origin(), box=32).values
    assert (found["discriminator"], found["adversarial"]) == ("none", "none")


def test_tensorboard_shows_first_what_differs(tmp_path: Path) -> None:
    logger = tensorboard(tmp_path, None)
    log_hyperparameters([logger], hyperparameters(composed(*GIVEN), Origin(varied=VARIED), 64), RESULTS)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    plugin = events.SummaryMetadata("_hparams_/experiment").plugin_data
    shown = HParamsPluginData.FromString(plugin.content).experiment
    assert {info.name for info in shown.hparam_infos if info.differs} == {"rpsd", "seed"}
    assert [info.name.tag for info in shown.metric_infos] == list(RESULTS)
