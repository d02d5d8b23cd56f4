"""Texts of a configuration that hold what looks like a reference, ``${x}``, and mean it literally."""

from __future__ import annotations

import re
from typing import cast

from omegaconf import DictConfig, OmegaConf

#: Begins what OmegaConf would look up: an environment variable, another key.
_LOOKED_UP = re.compile(r"(\\*)\$\{")


def literal(tree: object) -> object:
    """Write every text so that OmegaConf takes it as it stands.

    Raises
    ------
    ValueError
        If there is something else than names, texts and numbers.
    """
    if isinstance(tree, dict):
        return {str(key): literal(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [literal(value) for value in tree]
    if isinstance(tree, str):
        return _LOOKED_UP.sub(r"\1\1\\${", tree)
    if tree is None or isinstance(tree, bool | int | float):
        return tree
    raise ValueError(f"a value is {type(tree).__name__}, neither text nor number")


def buildable(node: object) -> object:
    """Return a part of a configuration so that Hydra builds it of the texts that it has now.

    Hydra resolves what it builds, and what came of that again.
    """
    if not isinstance(node, DictConfig):
        return node
    tree = OmegaConf.to_container(node, resolve=True)
    return OmegaConf.create(cast("dict[str, object]", literal(literal(tree))))
