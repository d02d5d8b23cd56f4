"""What every command line shares: Hydra's entry, one absolute config folder, and errors without a traceback.

Nothing heavy is imported here, so that ``--help`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra import compose
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException, InstantiationException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = Path(__file__).resolve().parent
#: The one folder of configurations: inside the package in a wheel, beside it in a checkout.
CONF_DIR = str(_PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf")

_log = logging.getLogger(__name__)


def _run_folder(resume: str | None, fresh: str) -> str:
    """Name the folder Hydra may create: a new one, or none where an old run is to be continued."""
    return fresh if resume is None else "."


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


#: Which types may stand in the place of a default, and how to ask for them.
_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}
#: Numbers that may be left out, and are by default.
_OPTIONAL: dict[str, type] = {
    "box": int,
    "volume_pixel_size": float,
    "threads": int,
    "callbacks.checkpoint_every": int,
    "data.box": int,
    "optimizer.clip": float,
    "optimizer.decay_start": int,
    "optimizer.decay_end": int,
    "optimizer.ema_decay": float,
}
#: Values of Lightning's that may be numbers, text or lists.
_SEVERAL_KINDS = ("trainer.devices",)


class CommandError(CompactHydraException):
    """An error that Hydra prints as its message alone, and that does not stop the other jobs of a sweep."""


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a configuration into a command line.

    Parameters
    ----------
    config_name : str
        File in ``conf/`` without its suffix.

    Returns
    -------
    callable
        A decorator. The decorated function takes no argument, reads ``sys.argv`` and exits with code 1 where
        the input cannot be used; with ``HYDRA_FULL_ERROR=1`` the traceback is shown.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def guarded(cfg: DictConfig) -> Any:
            try:
                _check_types(cfg)
                return task(cfg)
            except Exception as error:
                _remove_empty_folder()
                message = _explain(error)
                if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                raise CommandError(f"error: {message}") from None

        entry = hydra.main(version_base="1.3", config_path=CONF_DIR, config_name=config_name)(guarded)

        @functools.wraps(task)
        def main() -> None:
            _check_quoting(sys.argv[1:])
            try:
                entry()
            except BrokenPipeError:  # the reader of --help has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except KeyboardInterrupt:
                sys.stderr.write("interrupted\n")
                sys.exit(128 + signal.SIGINT)

        return main

    return decorate


def choose_device(name: str) -> str:
    """Check a device, and choose one where that was left open.

    Parameters
    ----------
    name : str
        ``auto``, or as torch names it.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    import torch  # noqa: PLC0415  heavy imports wait until work starts

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise InputError(
            "this device cannot be used",
            expected="auto, cpu, cuda or cuda:N",
            found=f"{name}: {str(error).splitlines()[0]}",
        ) from error
    return name


def _remove_empty_folder() -> None:
    """Remove the run folder that Hydra made before anything was known to be good, if it is still empty."""
    folder = Path(HydraConfig.get().runtime.output_dir).absolute()
    if folder != Path.cwd():  # where a command has no run folder
        with contextlib.suppress(OSError):
            folder.rmdir()


def _check_types(cfg: DictConfig) -> None:
    """Refuse a value of another kind than its default: text or a fraction where a whole number stands.

    The defaults are those of the chosen groups, without the values given on the command line.
    """
    hydra_cfg = HydraConfig.get()
    given = hydra_cfg.overrides.task
    groups = [entry for entry in given if entry.lstrip("+~").partition("=")[0] in hydra_cfg.runtime.choices]
    if len(groups) == len(given):
        return
    defaults = _leaves(OmegaConf.to_container(compose(hydra_cfg.job.config_name, groups)))
    found = _leaves(OmegaConf.to_container(cfg, resolve=True))
    for key, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{key} cannot be used", expected="a finite number", found=value)
    named = {entry.lstrip("+~").partition("=")[0] for entry in given}
    for key in sorted(
        defaults, key=lambda key: key not in named
    ):  # what was given, before what follows from it
        default = defaults[key]
        value = found.get(key, default)
        kind = _OPTIONAL.get(key, type(default))
        if kind not in _KINDS or key in _SEVERAL_KINDS or (value is None and key in _OPTIONAL):
            continue
        fitting, expected = _KINDS[kind]
        if type(value) not in fitting:
            raise InputError(f"{key} cannot be used", expected=expected, found=value)


def _leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a configuration: the path of each value, list elements included."""
    if not isinstance(tree, dict | list):
        return {prefix[:-1]: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {path: leaf for key, value in items for path, leaf in _leaves(value, f"{prefix}{key}.").items()}


def _explain(error: BaseException) -> str | None:
    """Return what the user can do about an error, or None where it is our own fault."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for known in (InputError, OSError, OmegaConfBaseException, InstantiationException):
        for link in chain:  # Hydra's instantiate wraps what a constructor raises
            if isinstance(link, known) and (message := _message(link)) is not None:
                return message
    return None


def _message(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        place = error.filename or "output"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"{place}: no room left on the disk\n  remedy: free some space or choose another folder"
        if isinstance(error, PermissionError):
            return f"{place}: permission denied\n  remedy: choose a folder you may read and write"
        return None
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        name = str(error).splitlines()[0].rpartition(": ")[2]
        return f"{name} has no default and was not given\n  remedy: give it as {name}=VALUE"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{str(error).splitlines()[0].rstrip(':')}\n  found: {error.__cause__}"
    text = str(error)
    return text if isinstance(error, InputError) else text.splitlines()[0]


def _check_quoting(arguments: list[str]) -> None:
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
