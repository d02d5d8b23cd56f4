"""Why Hydra cannot compose a configuration from what was given, and what to write instead."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from typing import TYPE_CHECKING

from hydra.errors import HydraException, MissingConfigException

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.command import COMMANDS
from cryoalign.cli.writing import written
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoalign.cli.catalogue import Catalogue, Group

#: What Hydra says of a key that is not there, of one with several values, of one added that is there.
_NO_KEY = re.compile(r"Could not override '([^'@]+)'")
_SEVERAL = re.compile(r"Ambiguous value for argument '([^'=]+)=(.*)'$", re.MULTILINE)
_THERE = re.compile(r"Could not append to config\. An item is already at '([^']+)'")
#: What of Hydra's comes with which extra.
_EXTRAS = {
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/joblib": "parallel",
    "hydra/sweeper/optuna": "search",
}


def explain_composition(error: HydraException, command: str) -> str:
    """Return what the user can do where Hydra cannot compose; where we know no better, what Hydra says."""
    catalogue = read_catalogue(command)
    refusal: InputError | None = None
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        name, _, choice = error.missing_cfg_file.rpartition("/")
        group = catalogue.group(name)
        refusal = no_choice(group, choice) if group else _not_installed(error.missing_cfg_file)
    elif found := _NO_KEY.search(text):
        resumed = any(word.startswith("resume=") for word in sys.argv[1:])
        refusal = _no_key_of_a_run(found[1]) if resumed else no_key(command, found[1])
    elif found := _SEVERAL.search(text):
        key, values = found.groups()
        one, several = written(key, values), shlex.quote(f"{key}=[{values}]")
        remedy = f"one name is written {one}, a list {several}; to try one value after the other, add -m"
        refusal = InputError(f"{key} has several values", found=values, remedy=remedy)
    elif found := _THERE.search(text):
        refusal = InputError(f"{found[1]} is there already", remedy=f"write {found[1]}=VALUE, without +")
    elif error.__cause__ is not None:
        text = f"{text}\n  found: {str(error.__cause__).splitlines()[0]}"
    return str(refusal or text)


def _not_installed(choice: str) -> InputError | None:
    """Return the refusal of a launcher or sweeper of Hydra's that is a package of its own."""
    extra = _EXTRAS.get(choice.removeprefix("/"))
    if extra is None:
        return None
    group, _, name = choice.removeprefix("/").rpartition("/")
    return InputError(
        f"{group}={name} is not installed", remedy=f"pip install {shlex.quote(f'cryoalign[{extra}]')}"
    )


def _no_key_of_a_run(key: str) -> InputError:
    """Return the refusal of a key beside ``resume=``: which keys there are, the run decides."""
    return InputError(
        f"{key} cannot change when a run is continued",
        expected="resume= with trainer.max_steps or trainer.max_time",
        remedy="leave it out, or start a new run without resume=",
    )


def no_key(command: str, key: str, others: Iterable[str] = ()) -> InputError:
    """Return the refusal of a key that the chosen configuration has not.

    Parameters
    ----------
    command : str
    key : str
        Without ``+``.
    others : iterable of str
        Keys that could be added though no file of ``conf/`` has them.
    """
    catalogue = read_catalogue(command)
    group = catalogue.group(key)
    if group is not None and group.several:
        return InputError(f"{key} is added with +", remedy=f"write {group.label}=CHOICE")
    owners = [
        f"{group.label}={choice.name}"
        for group in catalogue.groups
        for choice in group.choices
        if any(known.name == key or known.name.startswith(f"{key}.") for known in choice.keys)
    ]
    if owners:
        return InputError(
            f"{key} belongs to {' or '.join(owners)}", remedy=f"give {owners[0]}, or leave {key} out"
        )
    have = [other for other in COMMANDS if key in _names(read_catalogue(other))]
    if have:
        return InputError(
            f"{command} has no {key}; {', '.join(have)} {'has' if len(have) == 1 else 'have'} it",
            remedy=f"leave {key} out; cryoalign {command} --help all lists every key",
        )
    near = difflib.get_close_matches(key, [*sorted(others), *_names(catalogue)], 1)
    return InputError(
        f"there is no key {key}",
        expected=near[0] if near else None,
        remedy=f"cryoalign {command} --help all lists every key",
    )


def _names(catalogue: Catalogue) -> list[str]:
    """Return the names of all keys, and of the groups as they are given."""
    names = [key.name for _, key in catalogue.all_keys()] + [group.label for group in catalogue.groups]
    return list(dict.fromkeys(names))


def no_choice(group: Group, given: str) -> InputError:
    """Return the refusal of what is no choice of a group."""
    names = [choice.name for choice in group.choices]
    near = difflib.get_close_matches(given, names, 1)
    return InputError(
        f"there is no {group.label}={given}",
        expected=", ".join(names),
        remedy=f"did you mean {group.label}={near[0]}?" if near else "choose one of these",
    )
