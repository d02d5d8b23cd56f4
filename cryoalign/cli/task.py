"""A command run by Hydra: its configuration checked, errors without a traceback."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import sys
import tempfile
from functools import cache
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
from cryoalign.cli.search import register_resolvers
from cryoalign.cli.started import is_further_process
from cryoalign.cli.sweep import CommandError, Jobs, exit_with, explain_sweep
from cryoalign.cli.termination import Terminated, exit_on_sigterm, is_terminated
from cryoalign.cli.words import check_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _run_folder(resume: str | None, fresh: str) -> str:
    """Name the folder Hydra may create: a new one, or none where an old run is to be continued.

    Of several processes that torchrun or srun started at almost the same time the first alone writes; what
    Hydra makes for the others goes away with them.
    """
    if resume is not None:
        return "."
    return _folder_of_a_further_process() if is_further_process() else str(at_home(fresh))


@cache
def _folder_of_a_further_process() -> str:
    folder = tempfile.mkdtemp(prefix="cryoalign_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _job_folder(number: int, overrides: Sequence[str], sweeper: Mapping[str, Any]) -> str:
    """Name the folder of a job of a sweep; how runs are named is known to the room of trainings."""
    return str(import_module("cryoalign.train.naming").job_folder(number, overrides, sweeper))


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
OmegaConf.register_new_resolver("job_folder", _job_folder, replace=True)
register_resolvers()


#: Where it is 1, Hydra raises an error; else it prints it in a frame of advice, and exits.
_FULL_ERROR = "HYDRA_FULL_ERROR"


class _Task:
    """What Hydra calls for a job: here, or in another process where a launcher has taken it.

    Parameters
    ----------
    name : str
        Of the command.
    task : callable
        What is done with the configuration. It sees the environment as the user set it.
    """

    def __init__(self, name: str, task: Callable[[DictConfig], Any]) -> None:
        functools.update_wrapper(self, task)
        self.name, self.task, self.jobs = name, task, Jobs()
        self.given = os.environ.get(_FULL_ERROR)
        self.words = sys.argv

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in another process, where the command line is that of the sweep: names follow from it."""
        self.__dict__.update(state)
        sys.argv[:] = self.words

    def __call__(self, cfg: DictConfig) -> Any:
        """Do it; an error is said once."""
        with exit_on_sigterm():
            return self.jobs.said(self._checked, cfg)

    def _checked(self, cfg: DictConfig) -> Any:
        _set_full_error(self.given)
        try:
            check_added(cfg, self.name)
            check_paths(cfg, self.name)
            check_types(cfg, self.name)
            result = self.task(cfg)
        except Exception as error:
            _remove_empty_folder()
            if is_terminated():
                raise Terminated from None
            _set_full_error("1")
            if shows_traceback(self.given):
                raise
            message = explain(error)
            if message is None:
                raise CommandError(fault_text(error, self.name), FAULT) from None
            raise CommandError(message) from None
        _set_full_error("1")
        return result


def run_task(name: str, task: Callable[[DictConfig], Any]) -> None:
    """Run a command with the configuration that ``sys.argv`` asks for.

    Parameters
    ----------
    name : str
        Of the command, and of its file in ``conf/``.
    task : callable
        What is done with the configuration.
    """
    check_words(sys.argv[1:], name)
    job = _Task(name, task)
    _set_full_error("1")
    try:
        hydra.main(version_base="1.3", config_path=CONF_DIR, config_name=name)(job)()
        job.jobs.end()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        message = _message(error, name)
        if message is None or shows_traceback(job.given):
            raise
        exit_with(message, getattr(error, "code", 1))
    finally:
        _set_full_error(job.given)


def _message(error: Exception, name: str) -> str | None:
    """Return what to say of an error outside of the jobs; None where it is our own fault."""
    if isinstance(error, HydraException):
        return explain_composition(error, name)
    # an OSError is of a folder that Hydra makes, others of what sweepers and launchers need
    return explain(error) or explain_sweep(error)


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
