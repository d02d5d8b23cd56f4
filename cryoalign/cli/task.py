"""A command run by Hydra: its configuration checked, errors without a traceback."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.check import check_added, check_types
from cryoalign.cli.composition import explain_composition
from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.cli.explain import explain
from cryoalign.cli.fault import FAULT, fault_text, shows_traceback
from cryoalign.cli.job import job_folder
from cryoalign.cli.paths import at_home, check_paths
from cryoalign.cli.sweep import CommandError, Jobs, exit_with
from cryoalign.cli.termination import Terminated, is_terminated
from cryoalign.cli.words import check_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _run_folder(resume: str | None, fresh: str) -> str:
    """Name the folder Hydra may create: a new one, or none where an old run is to be continued."""
    return str(at_home(fresh)) if resume is None else "."


def _job_folder(number: int, overrides: Sequence[str], sweeper: Mapping[str, Any]) -> str:
    """Name the folder of a job of a sweep; how runs are named is known to the room of trainings."""
    return str(import_module("cryoalign.train.naming").job_folder(number, overrides, sweeper))


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
OmegaConf.register_new_resolver("job_folder", _job_folder, replace=True)


#: Where it is 1, Hydra raises an error; else it prints it in a frame of advice, and exits.
_FULL_ERROR = "HYDRA_FULL_ERROR"


def run_task(name: str, task: Callable[[DictConfig], Any]) -> None:
    """Run a command with the configuration that ``sys.argv`` asks for.

    Parameters
    ----------
    name : str
        Of the command, and of its file in ``conf/``.
    task : callable
        What is done with the configuration. It sees the environment as the user set it.
    """
    given = os.environ.get(_FULL_ERROR)

    @functools.wraps(task)
    def guarded(cfg: DictConfig) -> Any:
        _set_full_error(given)
        try:
            check_added(cfg, name)
            check_paths(cfg, name)
            check_types(cfg, name)
            result = task(cfg)
        except Exception as error:
            _remove_empty_folder()
            if is_terminated():
                raise Terminated from None
            _set_full_error("1")
            if shows_traceback(given):
                raise
            message = explain(error)
            if message is None:
                raise CommandError(fault_text(error, name), FAULT) from None
            raise CommandError(message) from None
        _set_full_error("1")
        return result

    check_words(sys.argv[1:], name)
    jobs = Jobs()
    _set_full_error("1")
    try:
        hydra.main(version_base="1.3", config_path=CONF_DIR, config_name=name)(jobs.say(guarded))()
        jobs.end()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + signal.SIGINT)
    except (HydraException, OSError) as error:  # an OSError is of a folder that Hydra makes
        message = explain_composition(error, name) if isinstance(error, HydraException) else explain(error)
        if message is None or shows_traceback(given):
            raise
        exit_with(message, getattr(error, "code", 1))
    finally:
        _set_full_error(given)


def _set_full_error(value: str | None) -> None:
    if value is None:
        os.environ.pop(_FULL_ERROR, None)
    else:
        os.environ[_FULL_ERROR] = value


def _remove_empty_folder() -> None:
    """Remove the run folder that Hydra made before anything was known to be good, if it is still empty."""
    folder = job_folder()
    if folder != Path.cwd():  # where a command has no run folder
        with contextlib.suppress(OSError):
            folder.rmdir()
