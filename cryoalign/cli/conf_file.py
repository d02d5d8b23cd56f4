"""One YAML file of ``conf/``, with what its comments say of each key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(__file__).resolve().parents[1]
#: The one folder of configurations: inside the package in a wheel, beside it in a checkout.
CONF_DIR = str(_PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CHOICES = re.compile(r"\(([^()|]+(?: \| [^()|]+)+)\)")
_PATH = re.compile(r" ?\((file|file or list|file, folder or list|folder|run folder)\)")
_MADE = {"out", "paths.outputs", "paths.cache"}  # keys of folders that a command makes
_GLOBAL = "# @package _global_"


class Default(NamedTuple):
    """An entry of a defaults list: a group, what is chosen of it, whether as a list, and the comment."""

    group: str
    chosen: tuple[str, ...]
    several: bool
    text: str


@dataclass(frozen=True)
class Key:
    """A value that can be given on the command line.

    Attributes
    ----------
    name : str
        With dots, as it is given.
    default : str
        As YAML writes it; ``???`` where it has to be given, empty for a part without values.
    text : str
        What its comment says.
    section : str
        The comment above it, which heads it and the keys behind it.
    """

    name: str
    default: str
    text: str
    section: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from, which the text names as ``(a | b)``."""
        if self.default in {"true", "false"}:
            return ("true", "false")
        found = _CHOICES.search(self.text)
        return tuple(choice.strip() for choice in found[1].split("|")) if found else ()

    @property
    def number(self) -> type | None:
        """The kind of number that may be given where the default does not show it; `object` for any value."""
        marks: dict[str, type] = {
            "(whole number)": int,
            "(number)": float,
            "(number, list or text)": object,
        }
        return next((kind for mark, kind in marks.items() if mark in self.text), None)

    @property
    def path(self) -> str:
        """What has to be there, as a mark in the text says; ``out``: what the command makes."""
        found = _PATH.search(self.text)
        return found[1] if found else "out" if self.name in _MADE else ""

    @property
    def said(self) -> str:
        """The text without the mark of a path, for readers."""
        return _PATH.sub("", self.text)


@dataclass(frozen=True)
class ConfFile:
    """What one file says.

    Attributes
    ----------
    paragraphs : tuple of str
        Of the comment at its head; the first says in one line what the file is.
    defaults : tuple of Default
        The groups that it chooses from; a file of its own folder has the group ``""``.
    keys : tuple of Key
        Named from the top of the file.
    nodes : dict of str to str
        What is said of the keys that hold other keys.
    is_global : bool
        Whether its keys are named from the top of the configuration.
    """

    paragraphs: tuple[str, ...]
    defaults: tuple[Default, ...]
    keys: tuple[Key, ...]
    nodes: dict[str, str]
    is_global: bool


def read_conf_file(path: Path) -> ConfFile:
    """Read a file and its comments."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = yaml.compose(text, Loader=_LOADER)
    entries = tree.value if isinstance(tree, yaml.MappingNode) else []
    defaults: list[Default] = []
    keys: list[Key] = []
    nodes: dict[str, str] = {}
    section = ""
    for key, value in entries:
        section = _section(lines, key.start_mark.line) or section
        if key.value == "defaults":
            defaults = [default for entry in value.value for default in _default(entry, lines)]
        elif key.value != "hydra":
            for name, node, said in _walk(key, value, lines):
                if node is None:
                    nodes[name] = said
                else:
                    keys.append(Key(name, node, said, section))
    return ConfFile(
        paragraphs=_head(lines),
        defaults=tuple(defaults),
        keys=tuple(keys),
        nodes=nodes,
        is_global=_GLOBAL in lines,
    )


def _head(lines: list[str]) -> tuple[str, ...]:
    """Return the paragraphs of the comment that a file begins with."""
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if line != _GLOBAL:
            head.append(line.removeprefix("#").removeprefix(" ").rstrip())
    return tuple(part.strip("\n") for part in "\n".join(head).split("\n\n") if part.strip())


def _section(lines: list[str], line: int) -> str:
    """Return the comment on the line above a key, if a blank line is above that."""
    if line < 2 or not lines[line - 1].startswith("# ") or lines[line - 2].strip():
        return ""
    return lines[line - 1].removeprefix("# ")


def _comment(lines: list[str], mark: yaml.Mark) -> str:
    """Return the comment that follows a place on its line."""
    line, column = int(mark.line), int(mark.column)
    return lines[line][column:].partition("# ")[2].strip()


def _default(entry: yaml.Node, lines: list[str]) -> Iterator[Default]:
    if isinstance(entry, yaml.ScalarNode):
        if entry.value != "_self_":
            yield Default("", (entry.value,), several=False, text="")
        return
    for key, value in entry.value:
        group = key.value.removeprefix("override ").removeprefix("optional ")
        if group.startswith("hydra/"):
            continue
        several = isinstance(value, yaml.SequenceNode)
        chosen = tuple(node.value for node in value.value) if several else (value.value,)
        yield Default(group, chosen, several, _comment(lines, value.end_mark))


def _walk(
    key: yaml.Node, value: yaml.Node, lines: list[str], prefix: str = ""
) -> Iterator[tuple[str, str | None, str]]:
    """Yield name, default and comment of every key; the default is None where a key holds others."""
    name = f"{prefix}{key.value}"
    if key.value.startswith("_"):
        return
    if not isinstance(value, yaml.MappingNode) or not value.value:
        start, end = value.start_mark, value.end_mark
        default = (
            " ".join(lines[start.line][start.column : end.column].split())
            if end.line == start.line
            else "..."
        )
        yield name, default or "null", _comment(lines, end)
        return
    holds_keys = any(not inner_key.value.startswith("_") for inner_key, _ in value.value)
    comment = _comment(lines, key.end_mark)
    if holds_keys or comment:
        yield name, None if holds_keys else "", comment
    for inner_key, inner_value in value.value:
        yield from _walk(inner_key, inner_value, lines, f"{name}.")
