"""Checkpoints of a run: written whole, located, read without unpickling, held against a configuration."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError
from cryoalign.io.output import PART, place_error, sync

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint beside its place, have the disk take it, and rename it over an earlier one.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing. What a killed process left of another attempt is overwritten.
    content : mapping
        Tensors and plain values.

    Raises
    ------
    InputError
        If the disk is full or the place cannot be written; an earlier checkpoint stays.
    """
    whole = io.BytesIO()  # torch says of a full disk no more than that it could not write
    torch.save(dict(content), whole)
    part = path.with_name(f".{path.name}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(whole.getbuffer())
            sync(part)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise place_error(path, error) from error


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
        _check_content(checkpoint)
    except Exception as error:  # whatever torch makes of damaged bytes; nothing is unpickled but tensors
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.filename is not None):
            raise  # it could not be opened; what names no file was sought at a place that damaged bytes name
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


def _check_content(checkpoint: dict[str, Any]) -> None:
    """Raise an error for what no checkpoint of cryoalign holds."""
    state = checkpoint["state_dict"]
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()):
        raise TypeError("its weights are no tensors")
    if type(checkpoint["global_step"]) is not int or checkpoint["global_step"] < 0:
        raise TypeError("its step is no whole number")
    if "random" in checkpoint["cryoalign"]:
        torch.Generator().set_state(checkpoint["cryoalign"]["random"]["cpu"])  # refuses what is no such state
    validation = checkpoint["cryoalign"].get("validation")
    if validation and not (type(validation["step"]) is int and isinstance(validation["values"], dict)):
        raise TypeError("its validation has no step or no values")
