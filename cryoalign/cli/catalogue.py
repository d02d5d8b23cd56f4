"""All keys, groups and choices of a command, read from ``conf/`` without Hydra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.cli.conf_file import CONF_DIR, ConfFile, Default, Key, read_conf_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = "Most needed:"
_ADDED = "Added with +:"


@dataclass(frozen=True)
class Choice:
    """A file of a group: what can be chosen by its name, and the keys that it brings.

    Attributes
    ----------
    name, text : str
    keys : tuple of Key
        With their whole names, in the order of the files.
    nodes : dict of str to str
        What is said of the keys that hold other keys.
    """

    name: str
    text: str
    keys: tuple[Key, ...]
    nodes: dict[str, str]


@dataclass(frozen=True)
class Group:
    """A folder of ``conf/``: what can be chosen from.

    Attributes
    ----------
    name : str
        With slashes, as it is given.
    text : str
        What the comment in the defaults list says of it.
    chosen : tuple of str
        The defaults.
    several : bool
        Whether a choice is added with ``+`` to those that are made.
    choices : tuple of Choice
        The defaults first, then by name.
    """

    name: str
    text: str
    chosen: tuple[str, ...]
    several: bool
    choices: tuple[Choice, ...]

    @property
    def label(self) -> str:
        """The name as it is given."""
        return f"+{self.name}" if self.several else self.name

    @property
    def common(self) -> tuple[Key, ...]:
        """The keys of every choice, as the default has them."""
        shared = set.intersection(*({key.name for key in choice.keys} for choice in self.choices))
        return tuple(key for key in self.choices[0].keys if key.name in shared)


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be given to a command.

    Attributes
    ----------
    command : str
    paragraphs : tuple of str
        Of the help; the first is one line.
    needed : tuple of str
        Names of the keys that most users need.
    keys : tuple of Key
        Those that belong to no group.
    groups : tuple of Group
    nodes : dict of str to str
        What is said of the keys that hold other keys, of every choice.
    """

    command: str
    paragraphs: tuple[str, ...]
    needed: tuple[str, ...]
    keys: tuple[Key, ...]
    groups: tuple[Group, ...]
    nodes: dict[str, str]

    def all_keys(self) -> Iterator[tuple[str, Key]]:
        """Yield every key with the choice, as ``GROUP=CHOICE``, that has to be made for it, if any."""
        yield from (("", key) for key in self.keys)
        for group in self.groups:
            for choice in group.choices:
                made = "" if choice.name in group.chosen else f"{group.label}={choice.name}"
                yield from ((made, key) for key in choice.keys)

    def group(self, name: str) -> Group | None:
        """Return the group of this name, if there is one."""
        return next((group for group in self.groups if group.name == name), None)


def summary(command: str) -> str:
    """Return the line that says what a command does, the first of its file."""
    with (Path(CONF_DIR) / f"{command}.yaml").open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").strip()


@cache
def read_catalogue(command: str) -> Catalogue:
    """Read what can be given to a command.

    Parameters
    ----------
    command : str
        Its name, which is that of its file.
    """
    file = _file(command)
    paragraphs, needed, added = [], "", ""
    for part in file.paragraphs:
        if part.startswith(_NEEDED):
            needed = part.removeprefix(_NEEDED)
        elif part.startswith(_ADDED):
            added = part.removeprefix(_ADDED)
        else:
            paragraphs.append(part)
    groups = [
        group for default in file.defaults if default.group for group in _groups(default.group, default)
    ]
    for line in added.strip().splitlines():
        name, _, text = line.strip().partition(" ")
        groups += _groups(name, Default(name, (), several=True, text=text.strip()))
    return Catalogue(
        command=command,
        paragraphs=tuple(paragraphs),
        needed=tuple(needed.split()),
        keys=file.keys,
        groups=tuple(groups),
        nodes=file.nodes
        | {name: text for group in groups for choice in group.choices for name, text in choice.nodes.items()},
    )


@cache
def _file(name: str) -> ConfFile:
    return read_conf_file(Path(CONF_DIR) / f"{name}.yaml")


def _groups(name: str, default: Default) -> list[Group]:
    """Read a group, and those inside it that its files choose from."""
    names = sorted(path.stem for path in (Path(CONF_DIR) / name).glob("*.yaml") if path.stem != "base")
    first = [entry for entry in default.chosen if entry in names]
    ordered = first + [entry for entry in names if entry not in first]
    choices = tuple(_choice(name, entry) for entry in ordered)
    found = [Group(name, default.text, default.chosen, default.several, choices)]
    files = [_file(f"{name}/{entry}") for entry in ordered]
    # a file that changes keys of others chooses for groups that are described elsewhere
    local = [file for file in files if not file.is_global]
    inside = {entry.group: entry for file in local for entry in file.defaults if entry.group}
    for entry in inside.values():
        found += _groups(f"{name}/{entry.group}", entry)
    return found


def _choice(group: str, name: str) -> Choice:
    file = _file(f"{group}/{name}")
    if file.is_global:  # it changes keys of others
        return Choice(name, file.paragraphs[0] if file.paragraphs else "", (), {})
    keys: dict[str, Key] = {}
    nodes: dict[str, str] = {}
    for part in (*(_choice(group, parent.chosen[0]) for parent in file.defaults if not parent.group), None):
        prefix = "" if part else f"{group.replace('/', '.')}."
        for key in (part or file).keys:
            whole = f"{prefix}{key.name}"
            inherited = keys[whole].text if whole in keys else ""
            keys[whole] = replace(key, name=whole, text=key.text or inherited)
        nodes |= {f"{prefix}{node}": text for node, text in (part or file).nodes.items()}
    return Choice(name, file.paragraphs[0] if file.paragraphs else "", tuple(keys.values()), nodes)
