"""Refuse what was given on the command line before anything is done with it."""

from __future__ import annotations

import math
import sys

from hydra import compose
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.composition import no_key
from cryoalign.cli.flatten import flatten
from cryoalign.errors import InputError

#: Which types may stand in the place of a default, and how to ask for them.
_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}


def check_types(cfg: DictConfig, command: str) -> None:
    """Refuse a value of another kind than its default: text or a fraction where a whole number stands.

    The defaults are those of the chosen groups, without the values given on the command line. What a default
    does not show, a number that may be left out, its comment in ``conf/`` says.
    """
    hydra_cfg = HydraConfig.get()
    given = hydra_cfg.overrides.task
    groups = [entry for entry in given if entry.lstrip("+~").partition("=")[0] in hydra_cfg.runtime.choices]
    if len(groups) == len(given):
        return
    defaults = flatten(OmegaConf.to_container(compose(hydra_cfg.job.config_name, groups)), into_lists=True)
    found = flatten(OmegaConf.to_container(cfg, resolve=True), into_lists=True)
    for key, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{key} cannot be used", expected="a finite number", found=value)
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
        fitting, expected = _KINDS[kind]
        if type(value) not in fitting:
            raise InputError(f"{key} cannot be used", expected=expected, found=value)


def check_added(cfg: DictConfig, command: str) -> None:
    """Refuse a key added with ``+`` that nothing reads.

    Groups can be added, and keys below what has a ``_target_``, whose constructor checks them. The command
    that writes the embedded data set checks its keys itself.
    """
    hydra_cfg = HydraConfig.get()
    catalogue = read_catalogue(command)
    known = {key.name for _, key in catalogue.all_keys()}
    for entry in hydra_cfg.overrides.task:
        key = entry.lstrip("+").partition("=")[0]
        there = entry.startswith("++") and key in known
        group = catalogue.group(key) is not None or key in hydra_cfg.runtime.choices
        if not entry.startswith("+") or there or group:
            continue
        parts = key.split(".")
        nodes = [OmegaConf.select(cfg, ".".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
        constructed = any(isinstance(node, DictConfig) and "_target_" in node for node in nodes)
        if not constructed and command != "embedded":
            raise no_key(command, key)


def check_quoting(arguments: list[str], command: str) -> None:
    """Refuse an override that Hydra's grammar cannot read, and show how to write it."""
    parser = OverridesParser.create()
    for argument in get_args_parser().parse_known_args(arguments)[0].overrides:
        try:
            parser.parse_overrides([argument])
        except OverrideParseException:
            key, separator, value = argument.partition("=")
            if key and separator:
                remedy = f"quote a value with '=', ',' or other special characters twice: '{key}=\"{value}\"'"
            else:
                remedy = _writing(argument, arguments, command)
            refusal = InputError(
                f"cannot read the argument {argument!r}", expected="key=value", remedy=remedy
            )
            sys.stderr.write(f"error: {refusal}\n")
            sys.exit(1)


def _writing(argument: str, arguments: list[str], command: str) -> str:
    """Return how to write an argument that is no ``key=value``."""
    if argument == "help":
        return f"cryoalign {command} --help"
    place = arguments.index(argument)
    before = arguments[place - 1] if place else ""
    after = arguments[place + 1] if place + 1 < len(arguments) else ""
    if before.startswith("--") and "=" not in before:
        return f"write {before.lstrip('-').replace('-', '_')}={argument}, without dashes"
    if before.endswith("="):
        return f"write {before}{argument}, no spaces round ="
    if after.startswith("="):
        value = after.removeprefix("=") or "".join(arguments[place + 2 : place + 3])
        return f"write {argument}={value}, no spaces round ="
    return (
        "if it is part of a path with spaces, quote the whole argument: 'particles=\"my folder/run 1.star\"'"
    )
