"""Checkpoints of a run: located, read without unpickling, and held against a configuration."""

from __future__ import annotations

import json
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

#: What a checkpoint must share with the configuration it is loaded under.
_BINDING = ("generator", "discriminator", "loss", "data.normalization", "data.box")


def binding(cfg: DictConfig) -> str:
    """Return as JSON what a checkpoint must share with the configuration it is loaded under."""
    chosen = {key: OmegaConf.select(cfg, key) for key in _BINDING}
    plain = {
        key: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v
        for key, v in chosen.items()
    }
    return json.dumps(plain, sort_keys=True)


def find_checkpoint(folder: Path, which: str) -> Path:
    """Locate a checkpoint of a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    which : str
        ``last``, ``best``, or the name of a file in ``checkpoints/``.

    Raises
    ------
    InputError
        If it is not there; what is there is listed.
    """
    name = which if which.endswith(".ckpt") else f"{which}.ckpt"
    path = folder / "checkpoints" / name
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*.ckpt"))
        raise InputError(
            "this run has no such checkpoint",
            file=path,
            expected="a checkpoint written by the run",
            found=there or "no checkpoint at all",
            remedy="choose a checkpoint that is there with checkpoint="
            if there
            else "train it again: without a checkpoint there is nothing to continue",
        )
    return path


def read_checkpoint(path: Path, cfg: DictConfig) -> dict[str, Any]:
    """Read a checkpoint (nothing but tensors and plain values) and hold it against a configuration.

    Raises
    ------
    InputError
        If it is not a checkpoint of cryoalign, or of another configuration.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        stored = json.loads(checkpoint["cryoalign"]["configuration"])
    except (UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "this file is not a checkpoint that cryoalign wrote",
            file=path,
            found=(str(error) or type(error).__name__).splitlines()[0],
            remedy="choose another checkpoint, or train again",
        ) from error
    wanted, found = flatten(json.loads(binding(cfg))), flatten(stored)
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise InputError(
                f"this checkpoint is of another configuration: {key} differs",
                file=path,
                expected=wanted.get(key),
                found=found.get(key),
                remedy="use the checkpoint together with the config.yaml of its own run",
            )
    return checkpoint
