"""What a configuration names, built: the data, and the system of networks, objective and optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate

from cryoalign.data.datamodule import PairedDataModule
from cryoalign.errors import InputError
from cryoalign.losses.objective import Objective
from cryoalign.models.discriminator import Discriminator
from cryoalign.reading import first_line
from cryoalign.runs.checkpoint import binding, find_checkpoint, read_checkpoint
from cryoalign.runs.generator import build_generator
from cryoalign.runs.trust import build
from cryoalign.train.speed import AS_THEY_ARE, Speed
from cryoalign.train.system import PairedGAN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from omegaconf import DictConfig

    from cryoalign.data.normalize import Normalization
    from cryoalign.runs.folder import Run
    from cryoalign.train.system import OptimizerFactory


def build_data(cfg: DictConfig, normalization: Normalization | None = None) -> PairedDataModule:
    """Make the data module and read what it needs.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    normalization : Normalization, optional
        Of an existing run; fitted anew without it.

    Raises
    ------
    InputError
        If the data cannot be used.
    """
    module = build(cfg.data, PairedDataModule, "data", plain=True)
    module.normalization = normalization
    module.prepare_data()
    module.setup()
    module.batches = int(cfg.trainer.max_steps) * int(cfg.optimizer.accumulate)
    return module


def build_system(cfg: DictConfig, box: int, *, trains: bool = True) -> PairedGAN:
    """Make the networks, the objective and what trains them.

    A generator in closed form has no adversary and no moving average: nothing is trained.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    box : int
        Box size in px of the images.
    trains : bool
        Make the optimizer too.
    """
    optimizer = {key: value for key, value in cfg.optimizer.items() if key != "algorithm"}
    algorithm = _build_algorithm(cfg) if trains else None
    generator = build_generator(cfg, box)
    discriminator, weights = None, {}
    if generator.closed_form:  # its objective is computed in validation, every term of it
        every = {name: float(name != "gan") for name in cfg.loss.weights}
        optimizer["ema_decay"], weights = None, {"weights": every}
    else:
        discriminator = build(cfg.discriminator, Discriminator, "discriminator", box=box)  # type: ignore[type-abstract]
    objective = build(cfg.loss, Objective, "loss", plain=True, **weights)
    if objective.needs_second() and not (generator.closed_form or generator.is_random):
        raise InputError(
            "this objective compares two fakes of each sim, but the generator makes the same one twice",
            expected="a generator with a source of noise",
            found="generator.noise_channels=0",
            remedy="give generator.noise_channels=1, or loss=paired",
        )
    return PairedGAN(
        generator,
        discriminator,
        objective,
        algorithm,
        box=box,
        seed=cfg.seed,
        log_every=cfg.log_every,
        configuration=binding(cfg),
        speed=Speed(**cfg.speed) if trains and not generator.closed_form else AS_THEY_ARE,
        **optimizer,
    )


def _build_algorithm(cfg: DictConfig) -> OptimizerFactory:
    """Make what makes an optimizer of parameters, and try it."""
    algorithm: OptimizerFactory = instantiate(cfg.optimizer.algorithm, _convert_="all")
    try:
        algorithm(iter([torch.nn.Parameter(torch.zeros(1))]))
    except (ValueError, TypeError) as error:
        raise InputError(
            "optimizer.algorithm cannot be used",
            found=error,
            remedy="correct its arguments, e.g. optimizer.algorithm.lr=0.0002",
        ) from error
    return algorithm


def load_system(run: Run, checkpoint: str) -> PairedGAN:
    """Rebuild the trained networks of a run and its objective, without an optimizer.

    Parameters
    ----------
    run : Run
    checkpoint : str
        See `find_checkpoint`.

    Raises
    ------
    InputError
        If the checkpoint is missing or of another configuration.
    """
    path = find_checkpoint(run.folder, checkpoint)
    state = read_checkpoint(path, run.cfg)
    system = build_system(run.cfg, run.data["box"], trains=False)
    load_weights(system, state, path)
    return system.eval()


def load_weights(system: PairedGAN, content: Mapping[str, Any], path: Path, *, trains: bool = False) -> None:
    """Load the weights of a checkpoint into a system.

    Parameters
    ----------
    system : PairedGAN
    content : mapping
        Of the checkpoint.
    path : Path
        Where it was read.
    trains : bool
        Look whether what was kept of the optimizers fits, too.

    Raises
    ------
    InputError
        If it is of other networks, or other optimizers.
    """
    try:
        system.load_state_dict(content["state_dict"])
        if trains:
            kept = zip(system.configure_optimizers()[0], content["optimizer_states"], strict=True)
            for optimizer, state in kept:
                optimizer.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(
            "this checkpoint does not fit the networks of the configuration",
            file=path,
            found=first_line(error),
            remedy="choose another checkpoint, or train again",
        ) from error
