"""What every command line shares: Hydra's entry, one absolute config folder, and errors without a traceback.

Nothing heavy is imported here, so that ``--help`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException, InstantiationException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

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
                return task(cfg)
            except Exception as error:
                message = _explain(error)
                if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                raise CommandError(f"error: {message}") from None

        entry = hydra.main(version_base="1.3", config_path=CONF_DIR, config_name=config_name)(guarded)

        @functools.wraps(task)
        def main() -> None:
            _check_quoting(sys.argv[1:])
            entry()

        return main

    return decorate


def _explain(error: BaseException) -> str | None:
    """Say what the user can do about an error, or None where it is our own fault."""
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
    if isinstance(error, MissingMandatoryValue):
        first = str(error).splitlines()[0]
        return f"a value without a default was not given: {first}\n  remedy: give it as key=value"
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
