"""What a user varies in a training, under names that fit a column of TensorBoard's HPARAMS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig, OmegaConf

from cryoalign.runs.names import short_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoalign.train.naming import Origin

#: Shown of every run, so that runs of several command lines share their columns: name and key.
_NUMBERS = {
    "steps": "trainer.max_steps",
    "batch": "data.batch_size",
    "seed": "seed",
    "lr": "optimizer.algorithm.lr",
    "gan": "loss.weights.gan",
    "l1": "loss.weights.l1",
    "energy": "loss.weights.energy",
    "content": "loss.weights.content",
    "rpsd": "loss.weights.rpsd",
    "noise maps": "generator.noise_channels",
}
_GROUPS = {
    "generator": "generator",
    "discriminator": "discriminator",
    "loss": "loss",
    "adversarial": "loss/adversarial",
}
#: Given on a command line, but no property of the training: where things lie, and how it is watched.
_SURROUNDINGS = {
    "audit", "callbacks", "data", "debug", "hparams_search", "log_every", "resume", "test", "threads",
    "trainer",
    "data.bad_images", "data.check", "data.check_header", "data.folder", "data.missing_ctf",
    "data.passthrough", "data.pixel_size", "data.raw", "data.root", "data.sim", "data.workers",
    "optimizer.algorithm.fused", "speed",
    "trainer.accelerator", "trainer.enable_progress_bar", "trainer.val_check_interval",
}  # fmt: skip
_SURROUNDING_GROUPS = (
    "callbacks.figures.",
    "callbacks.step_checkpoints.",
    "hydra",
    "logger",
    "paths",
    "speed.",
    "search.",
)
#: Of the last validation, what the table of runs shows beside them.
RESULTS = ("val/RPSD_L1", "val/RPSD_MSE", "val/pixel_L1", "val/pixel_MSE", "val/ring_correlation")


class Hyperparameters(NamedTuple):
    """What a user varies, by name, and the names of what the sweep that a run belongs to varies."""

    values: dict[str, float | str]
    varied: set[str]


def hyperparameters(cfg: DictConfig, origin: Origin, box: int) -> Hyperparameters:
    """Return what a user varies: a fixed set, and whatever else was given on the command line.

    Parameters
    ----------
    cfg : DictConfig
        Of the run.
    origin : Origin
        Of the run.
    box : int
        Box size in px of the images.
    """
    chosen: dict[str, float | str] = {
        name: _chosen(cfg, group, origin.choices) for name, group in _GROUPS.items()
    }
    values = {name: OmegaConf.select(cfg, key) for name, key in _NUMBERS.items()}
    chosen |= {name: value for name, value in values.items() if value is not None}
    if chosen["gan"] == 0:
        chosen |= {"discriminator": "none", "adversarial": "none"}
    chosen |= {"data": _data(cfg, origin.choices), "box": box}
    known = {*_NUMBERS.values(), *_GROUPS.values(), "data.box", "data.embedded.box"}
    given = [entry.lstrip("+~").partition("=")[0] for entry in origin.overrides]
    more = [key for key in dict.fromkeys(given) if key not in known and not _is_surrounding(key)]
    names = short_names(more, [*more, *known])
    for key in more:
        value = origin.choices.get(key, OmegaConf.select(cfg, key))
        if value is not None and not OmegaConf.is_config(value):
            chosen[names[key]] = value if isinstance(value, int | float) else str(value)
    names |= {key: name for name, key in (_NUMBERS | _GROUPS).items()}
    names |= dict.fromkeys(("data.box", "data.embedded.box"), "box")
    return Hyperparameters(chosen, {names[key] for key in origin.varied if key in names} & set(chosen))


def _chosen(cfg: DictConfig, group: str, choices: Mapping[str, str]) -> str:
    """Name what was chosen of a group: the file, or the class of one that was given by hand."""
    known = [choice for key, choice in choices.items() if key.partition("@")[0] == group]
    node = OmegaConf.select(cfg, group.replace("/", "."))
    return known[0] if known else str(node["_target_"]).rpartition(".")[2]


def _data(cfg: DictConfig, choices: Mapping[str, str]) -> str:
    """Name the data set: the embedded one, or the raw metadata with their folder."""
    raw = cfg.data.get("raw")
    return choices.get("data", "embedded") if raw is None else "/".join(Path(raw).parts[-2:])


def _is_surrounding(key: str) -> bool:
    return key in _SURROUNDINGS or key.startswith(_SURROUNDING_GROUPS)
