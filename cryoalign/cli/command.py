"""The command lines: the list of commands, and what each of them does with its arguments.

Hydra is imported only when a command runs, so that ``--help`` and the completion of a shell answer at once.
"""

from __future__ import annotations

import difflib
import functools
import os
import runpy
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cryoalign
from cryoalign.cli.catalogue import summary
from cryoalign.cli.completion import answer
from cryoalign.cli.fault import FAULT, fault_text, shows_traceback
from cryoalign.cli.help_text import help_text
from cryoalign.cli.termination import exit_on_sigterm
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omegaconf import DictConfig

#: Every command, in the order of their use: a room with a ``__main__``, and a file in ``conf/``.
COMMANDS = ("embedded", "simulate", "audit", "train", "export", "merge", "evaluate", "report")
_HELP = {"-h", "--help"}
_COMPLETION = {"-sc", "--shell-completion"}


def command(name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a configuration into a command line.

    Parameters
    ----------
    name : str
        Of the command, and of its file in ``conf/``.

    Returns
    -------
    callable
        A decorator. The decorated function takes no argument, reads ``sys.argv`` and exits with code 1 where
        the input cannot be used, and with code 70 where cryoalign is at fault; with ``CRYOALIGN_DEBUG=1`` the
        traceback is shown.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def main() -> None:
            arguments = sys.argv[1:]
            with _plain_errors(name), exit_on_sigterm():
                if _HELP & set(arguments):
                    print(help_text(name, [word for word in arguments if not word.startswith("-")]), end="")
                elif _COMPLETION & set(arguments):
                    print(answer(COMMANDS, arguments))
                elif "--version" in arguments:
                    print(f"cryoalign {cryoalign.__version__}")
                else:
                    from cryoalign.cli.task import run_task  # noqa: PLC0415  brings Hydra

                    sys.argv[0] = f"cryoalign {name}"  # for messages, and for what a run says of its origin
                    run_task(name, task)

        return main

    return decorate


def main() -> None:
    """Run the command that the first argument names; without one, list them all."""
    arguments = sys.argv[1:]
    with _plain_errors(*arguments[:1]):
        if arguments and arguments[0] in COMMANDS:
            _start(*arguments)
        elif _HELP & set(arguments) and set(COMMANDS) & set(arguments):  # cryoalign --help train
            _start(*sorted(arguments, key=lambda word: word not in COMMANDS))
        elif not arguments or _HELP & set(arguments):
            print(_list_of_commands(), end="")
        elif _COMPLETION & set(arguments):
            print(answer(COMMANDS, arguments))
        elif arguments == ["--version"]:
            print(f"cryoalign {cryoalign.__version__}")
        else:
            raise _no_command(arguments[0])


def _no_command(word: str) -> InputError:
    """Return the refusal of a first argument that is no command, with the one that was probably meant."""
    near = [name for name in COMMANDS if word and name.startswith(word.lower())]
    near += ["--" + word] if word in {"help", "version"} else []
    near += difflib.get_close_matches(word.lower(), COMMANDS, 1)
    return InputError(
        f"there is no command {word}",
        expected=", ".join(COMMANDS),
        remedy=f"did you mean cryoalign {near[0]}?" if near else "cryoalign --help lists the commands",
    )


def _start(name: str, *arguments: str) -> None:
    """Run a command as ``python -m cryoalign.NAME`` does.

    The room's module becomes ``__main__``, so that whatever starts this process again (Lightning, for several
    devices) finds the command.
    """
    sys.argv[1:] = arguments
    runpy.run_module(f"cryoalign.{name}", run_name="__main__", alter_sys=True)


def _list_of_commands() -> str:
    room = max(map(len, COMMANDS))
    return "\n".join(
        (
            str(cryoalign.__doc__).splitlines()[0],
            "",
            "  cryoalign COMMAND [KEY=VALUE ...]",
            "",
            "Commands:",
            *(f"  {name:<{room}}  {summary(name)}" for name in COMMANDS),
            "",
            "More:",
            "  cryoalign COMMAND --help                what can be given to a command",
            "  cryoalign --version                     the version",
            '  eval "$(cryoalign -sc install=bash)"    complete words with the TAB key, in bash',
            "",
        )
    )


@contextmanager
def _plain_errors(name: str = "") -> Iterator[None]:
    """Print an error without a traceback, and let the reader of a pipe leave."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of --help has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if shows_traceback(os.environ.get("HYDRA_FULL_ERROR")):
            raise
        known = isinstance(error, InputError)
        sys.stderr.write(f"error: {error if known else fault_text(error, name)}\n")
        sys.exit(1 if known else FAULT)
