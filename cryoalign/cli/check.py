"""Refuse what was given on the command line before anything is done with it."""

from __future__ import annotations

import functools
import inspect
import math

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.composition import no_key
from cryoalign.cli.flatten import flatten
from cryoalign.cli.job import given_words
from cryoalign.errors import InputError

#: Which types may stand in the place of a default, how to ask for them, and how they are written.
_KINDS: dict[type, tuple[tuple[type, ...], str, str]] = {
    bool: ((bool,), "true or false", "true or false without quotes"),
    int: ((int,), "a whole number", "digits alone"),
    float: ((int, float), "a number", "digits, with a point for fractions"),
}


def check_types(cfg: DictConfig, command: str) -> None:
    """Refuse a value of another kind than its default: text or a fraction where a whole number stands.

    The defaults are those of the chosen groups, without the values given on the command line. What a default
    does not show, a number that may be left out, its comment in ``conf/`` says.
    """
    hydra_cfg = HydraConfig.get()
    given = given_words()
    groups = [entry for entry in given if entry.lstrip("+~").partition("=")[0] in hydra_cfg.runtime.choices]
    if len(groups) == len(given):
        return
    sources = tuple(source.path for source in hydra_cfg.runtime.config_sources)
    trees = (
        _defaults(hydra_cfg.job.config_name, tuple(groups), sources),
        OmegaConf.to_container(cfg, resolve=True),
    )
    _check_shape(*trees)
    defaults, found = (flatten(tree, into_lists=True) for tree in trees)
    for key, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(
                f"{key} cannot be used",
                expected="a finite number",
                found=value,
                remedy=f"write a plain number, or leave {key} out",
            )
    numbers = {key.name: key.number for _, key in read_catalogue(command).all_keys() if key.number}
    named = {entry.lstrip("+~").partition("=")[0] for entry in given}
    for key in sorted(
        defaults, key=lambda key: key not in named
    ):  # what was given, before what follows from it
        default = defaults[key]
        value = found.get(key, default)
        kind = numbers.get(key, type(default))
        if kind not in _KINDS or (value is None and key in numbers):
            continue
        fitting, expected, digits = _KINDS[kind]
        if type(value) not in fitting:
            raise InputError(
                f"{key} cannot be used",
                expected=expected,
                found=value,
                remedy=f"write {digits}, or leave {key} out",
            )


@functools.cache
def _defaults(config_name: str, groups: tuple[str, ...], sources: tuple[str, ...]) -> object:
    """Return the defaults of chosen groups, once for all jobs of a sweep; the sources tell them apart."""
    del sources
    return OmegaConf.to_container(compose(config_name, list(groups)))


def _check_shape(default: object, found: object, name: str = "") -> None:
    """Refuse what does not hold keys, or not as many numbers, where the default does; null was looked at."""
    if isinstance(default, dict) and found is not None:
        if not isinstance(found, dict):
            raise InputError(
                f"{name} cannot be used",
                expected="names and values, {KEY: VALUE}",
                found=found,
                remedy=f"leave {name} out, or give what it holds as {name}.KEY=VALUE",
            )
        for key, value in default.items():
            _check_shape(value, found.get(key), f"{name}.{key}" if name else str(key))
        return
    if not isinstance(default, list) or not default or found is None:
        return
    numbers = all(type(value) in (int, float) for value in default)
    if numbers and (not isinstance(found, list) or len(found) != len(default)):
        raise InputError(
            f"{name} cannot be used",
            expected=f"a list of {len(default)} numbers",
            found=found,
            remedy=f"write {name}=[{','.join(map(str, default))}], say",
        )


def check_added(cfg: DictConfig, command: str) -> None:
    """Refuse a key added with ``+`` that nothing reads.

    Groups can be added, and arguments of what has a ``_target_``, as far as its signature says. The command
    that writes the embedded data set checks its keys itself.
    """
    catalogue = read_catalogue(command)
    known = {key.name for _, key in catalogue.all_keys()}
    needed_elsewhere = {key.name for made, key in catalogue.all_keys() if made and key.default == "???"}
    for entry in given_words():
        key = entry.lstrip("+").partition("=")[0]
        there = entry.startswith("++") and key in known
        group = catalogue.group(key) is not None or key in HydraConfig.get().runtime.choices
        if not entry.startswith("+") or there or group or command == "embedded":
            continue
        parts = key.split(".")
        places = [".".join(parts[:depth]) for depth in range(len(parts) - 1, 0, -1)]
        nodes = {place: OmegaConf.select(cfg, place) for place in (key, *places)}
        built = [
            place for place, node in nodes.items() if isinstance(node, DictConfig) and "_target_" in node
        ]
        if not built or key in needed_elsewhere:
            raise no_key(command, key)
        node = nodes[built[0]]
        arguments = _arguments(str(node["_target_"]))
        given = node if built[0] == key else [parts[built[0].count(".") + 1]]
        for name in map(str, given):
            if arguments is not None and name not in arguments and not name.startswith("_"):
                raise no_key(command, f"{built[0]}.{name}", [f"{built[0]}.{name}" for name in arguments])


def _arguments(target: str) -> set[str] | None:
    """Return the names of all arguments of a class or function; None where they cannot be known."""
    try:
        found = get_object(target)
        classes = found.__mro__ if isinstance(found, type) else ()
        constructors = [vars(one)["__init__"] for one in classes if "__init__" in vars(one)] or [found]
        names: set[str] = set()
        for constructor in constructors:
            parameters = inspect.signature(constructor).parameters.values()
            names.update(one.name for one in parameters if one.kind is not one.VAR_KEYWORD)
            if all(one.kind is not one.VAR_KEYWORD for one in parameters):
                return names - {"self"}
    except Exception:  # noqa: BLE001  whatever its module raises, it is explained where it is built
        return None
    return None
