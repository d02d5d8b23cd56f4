"""The configuration that a run stored, read as what it is: values, with nothing left to look up."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cryoalign.cli.literal import literal
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: What is used of a configuration beside what its targets are given, by the part that needs it.
_KINDS: dict[str, dict[str, type]] = {
    "generator": {"generator": dict, "seed": int, "data": dict},
    "data": {
        "data.split": dict, "data.split_seed": int, "data.batch_size": int, "data.workers": int,
        "data.seed": int, "discriminator": dict, "loss": dict, "loss.weights": dict, "log_every": int,
        "optimizer": dict, "optimizer.accumulate": int, "trainer": dict, "trainer.max_steps": int,
    },
    "trainer": {
        "optimizer.algorithm": dict, "trainer.val_check_interval": int, "trainer.enable_progress_bar": bool,
        "test": bool, "audit": str, "monitor": str, "test_checkpoint": str,
    },
}  # fmt: skip
_WORDS = {dict: "names and values", int: "a whole number", bool: "true or false", str: "text"}


def read_configuration(path: Path) -> DictConfig:
    """Read the ``config.yaml`` of a run.

    A run stores its configuration resolved, so that whatever looks like an interpolation, ``${oc.env:HOME}``,
    is plain text, such as a path that has these signs in it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    DictConfig

    Raises
    ------
    InputError
        If it cannot be read, or holds no names and values.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # A few of them can stand for millions of values, or for themselves.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError(
                "this configuration refers to its own parts (*NAME), which a run's never does",
                file=path,
                remedy="put back the file that the training wrote",
            )
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        cfg = OmegaConf.create(cast("dict[str, object]", literal(tree)))
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError, RecursionError) as error:
        raise InputError(
            "this description of a run cannot be read",
            file=path,
            found=str(error).splitlines()[0],
            remedy="put back the file that the training wrote",
        ) from error
    if not isinstance(cfg, DictConfig) or not cfg:
        raise InputError(
            "this description of a run cannot be read",
            file=path,
            expected="names and values",
            found=type(tree).__name__,
            remedy="put back the file that the training wrote",
        )
    return cfg


def check_kinds(cfg: DictConfig, parts: Collection[str], file: Path) -> None:
    """Refuse values of another kind than a training stores.

    Parameters
    ----------
    cfg : DictConfig
        Of a run.
    parts : collection of str
        What is going to be built of it.
    file : Path
        Where it was read.

    Raises
    ------
    InputError
        If a value is missing or of another kind.
    """
    for part, kinds in _KINDS.items():
        for key, kind in kinds.items() if part in parts else ():
            value = OmegaConf.select(cfg, key)
            if kind is dict:
                fits = isinstance(value, DictConfig)
            elif kind is int:  # numbers beyond this belong to no training
                fits = type(value) is int and abs(value) < 2**53
            else:
                fits = isinstance(value, kind)
            if not fits:
                raise InputError(
                    f"{key} cannot be used",
                    file=file,
                    expected=_WORDS[kind],
                    found="nothing" if value is None else repr(value),
                    remedy="put back the file that the training wrote",
                )
