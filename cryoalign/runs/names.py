"""Names of runs, by what differs in their configurations: ``rpsd=0.5,seed=2``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TARGET = "._target_"
_MODULES = ("cryoalign.", "torch.", "lightning.")


def run_name(differing: Mapping[str, object], every: Iterable[str]) -> str:
    """Name a run by the values in which it differs from others.

    Parameters
    ----------
    differing : mapping of str to object
        Value of each dotted key that differs.
    every : iterable of str
        All dotted keys of the configurations.

    Returns
    -------
    str
        ``rpsd=0.5,seed=2``; empty where nothing differs.
    """
    names = short_names(differing, every)
    return ",".join(f"{names[key]}={class_name(value_text(value))}" for key, value in differing.items())


def short_names(keys: Iterable[str], every: Iterable[str]) -> dict[str, str]:
    """Shorten dotted keys to as few of their last parts as no other key ends in.

    Parameters
    ----------
    keys : iterable of str
        To be named.
    every : iterable of str
        All dotted keys of the configurations.

    Returns
    -------
    dict of str to str
        ``loss.weights.rpsd`` becomes ``rpsd``, and ``generator._target_`` is named by what it makes,
        ``generator``; a key that no ending sets apart stays whole. The class of a part of the configuration
        and a value need different names only where both are to be named.
    """
    named = list(keys)
    classes, values = (
        {key for key in every if key.endswith(_TARGET) == is_class} for is_class in (True, False)
    )
    names = {}
    for key in named:
        rivals = (classes if key.endswith(_TARGET) else values) | set(named)
        names[key] = _shortest(key.removesuffix(_TARGET), [rival.removesuffix(_TARGET) for rival in rivals])
    return names


def value_text(value: object) -> str:
    """Write a value of a configuration, or a list of them; numbers that are equal have the same text."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    is_number = isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)
    return f"{value:.12g}" if is_number else str(value)


def class_name(text: str) -> str:
    """Name a class without its module; any other value stays as it is."""
    return text.rpartition(".")[2] if text.startswith(_MODULES) else text


def _shortest(key: str, known: list[str]) -> str:
    parts = key.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{ending}") for other in known) == 1:
            return ending
    return key
