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


def check_quoting(arguments: list[str]) -> None:
    """Refuse an override that Hydra's grammar cannot read, and show how to quote it."""
    parser = OverridesParser.create()
    for argument in get_args_parser().parse_known_args(arguments)[0].overrides:
        try:
            parser.parse_overrides([argument])
        except OverrideParseException:
            sys.stderr.write(f"error: cannot read the argument {argument!r}\n{_quoting(argument)}\n")
            sys.exit(1)


def _quoting(argument: str) -> str:
    key, separator, value = argument.partition("=")
    if not separator:
        return (
            "  expected: key=value\n"
            "  remedy: if it is part of a path with spaces, quote the whole argument: "
            "'particles=\"my folder/run 1.star\"'"
        )
    return (
        f"  remedy: quote a value that holds '=', ',' or other special characters twice: '{key}=\"{value}\"'"
    )
