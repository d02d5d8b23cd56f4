"""What ``--help`` prints: one screen with what most people need, and everything behind it."""

from __future__ import annotations

import difflib
import re
import shutil
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from cryoalign.cli.catalogue import Catalogue, Choice, Group, read_catalogue
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryoalign.cli.conf_file import Key

_WIDEST_DEFAULT = 24
_INTERPOLATION = re.compile(r"\$\{([a-z_.]+)\}")


def help_text(command: str, words: Sequence[str] = (), *, width: int | None = None) -> str:
    """Return what ``--help`` prints.

    Parameters
    ----------
    command : str
    words : sequence of str
        Groups, ``GROUP=CHOICE`` or keys to print only what belongs to them; ``all``: everything; none: the
        first screen.
    width : int, optional
        Of the screen; that of the terminal if not given.

    Raises
    ------
    InputError
        If the command has nothing of such a name.
    """
    if width is None:
        width = max(60, min(shutil.get_terminal_size((100, 40)).columns, 140))
    catalogue = read_catalogue(command)
    if not words:
        lines = _first_screen(catalogue, width)
    elif "all" in words:
        lines = [catalogue.paragraphs[0], *_ungrouped_keys(catalogue, width)]
        for group in catalogue.groups:
            lines += _about_group(catalogue, group, group.choices, width)
    else:
        lines = [line for word in words for line in _about(catalogue, word, width)]
    return "\n".join(lines).strip("\n") + "\n"


def _first_screen(catalogue: Catalogue, width: int) -> list[str]:
    lines = list("\n\n".join(catalogue.paragraphs).splitlines())
    known: dict[str, Key] = {}
    for made, key in catalogue.all_keys():
        text = key.text.partition(";")[0]
        known.setdefault(key.name, replace(key, text=f"with {made}: {text}" if made else text))
    lines += ["", "Most needed (KEY=VALUE):"]
    lines += _key_lines([known[name] for name in catalogue.needed], width, indent=2)
    shown = [group for group in catalogue.groups if len(group.choices) > 1 or group.several]
    if shown:
        added = "; + adds one to the defaults" if any(group.several for group in shown) else ""
        lines += ["", f"Choices (GROUP=CHOICE, the default first{added}):"]
        names = [group.label for group in shown]
        room = max(map(len, names))
        for name, group in zip(names, shown, strict=True):
            choices = ", ".join(choice.name for choice in group.choices)
            lines += _hang(f"  {name:<{room}}  ", f"{group.text}: {choices}", width)
    command = f"cryoalign {catalogue.command}"
    more = [(f"{command} --help all", "every key and every choice")]
    if shown:
        more.append((f"{command} --help {shown[0].name}", "one group, one choice or one key"))
    more.append((f"{command} --cfg job", "the configuration as YAML, without running it"))
    room = max(len(call) for call, _ in more)
    return [*lines, "", "More:", *(f"  {call:<{room}}   {text}" for call, text in more)]


def _ungrouped_keys(catalogue: Catalogue, width: int) -> list[str]:
    """Describe the keys that belong to no group, by section."""
    lines: list[str] = []
    for section in dict.fromkeys(key.section for key in catalogue.keys):
        lines += ["", f"{section or 'Of the command'}:"]
        lines += _key_lines([key for key in catalogue.keys if key.section == section], width, catalogue.nodes)
    return lines


def _about_group(catalogue: Catalogue, group: Group, choices: Iterable[Choice], width: int) -> list[str]:
    """Describe a group, some choices of it, and their keys."""
    lines = ["", f"{group.label}=CHOICE{f'  {group.text}' if group.text else ''}"]
    choices = list(choices)
    room = max(len(choice.name) for choice in choices)
    for choice in choices:
        default = " (default)" if choice.name in group.chosen else ""
        lines += _hang(f"  {choice.name:<{room}}  ", f"{choice.text}{default}", width)
    if len(choices) == 1:
        return [*lines, *_key_lines(choices[0].keys, width, catalogue.nodes)]
    common = {key.name: key for key in group.common}
    lines += _key_lines(common.values(), width, catalogue.nodes)
    for choice in choices:
        others = [
            key for key in choice.keys if common.get(key.name) is None or _differs(common[key.name], key)
        ]
        if others:
            lines += [f"  with {group.label}={choice.name}:", *_key_lines(others, width, catalogue.nodes)]
    return lines


def _differs(one: Key, other: Key) -> bool:
    return (one.default, one.text) != (other.default, other.text)


def _about(catalogue: Catalogue, word: str, width: int) -> list[str]:
    """Describe a group, a choice or the keys of a name."""
    name, _, value = word.lstrip("+~").partition("=")
    lines: list[str] = []
    for group in catalogue.groups:
        if group.name == name or group.name.startswith(f"{name}/"):
            chosen = [choice for choice in group.choices if choice.name == value]
            lines += _about_group(catalogue, group, chosen or group.choices, width)
    if lines:
        return lines
    keys: dict[tuple[str, str], Key] = {}
    for made, key in catalogue.all_keys():
        if key.name == name or key.name.startswith(f"{name}."):
            keys.setdefault(
                (key.name, key.default), replace(key, text=f"with {made}: {key.text}" if made else key.text)
            )
    if not keys:
        every = [group.name for group in catalogue.groups] + [key.name for _, key in catalogue.all_keys()]
        near = difflib.get_close_matches(name, every, 3)
        raise InputError(
            f"cryoalign {catalogue.command} has no key or group {name}",
            remedy=f"did you mean {', '.join(dict.fromkeys(near))}?"
            if near
            else "--help all shows what there is",
        )
    return ["", *_key_lines(keys.values(), width, catalogue.nodes)]


def _key_lines(
    keys: Iterable[Key], width: int, nodes: dict[str, str] | None = None, *, indent: int = 4
) -> list[str]:
    """Describe keys, one line each where it fits.

    With `nodes`, what holds keys is described above them; without, sections head their keys.
    """
    keys = list(keys)
    said: set[str] = set()
    if not keys:
        return []
    name_room = min(width * 2 // 5, max(len(key.name) for key in keys))
    default_room = min(_WIDEST_DEFAULT, max(len(_default(key)) for key in keys))
    lines = []
    section = ""
    for key in keys:
        if nodes is None and key.section != section:
            section = key.section
            lines.append(f"{' ' * indent}{section}:")
        parts = key.name.split(".")
        for depth in range(1, len(parts)):
            node = ".".join(parts[:depth])
            if nodes and nodes.get(node) and node not in said:
                said.add(node)
                lines += _hang(
                    f"{' ' * indent}{node:<{name_room}}  {'':<{default_room}}  ", nodes[node], width
                )
        start = f"{' ' * indent}{key.name:<{name_room}}  {_default(key):<{default_room}}  "
        room = indent + 4 + name_room + default_room
        lines += _hang(start, _text(key), width, room)
    return lines


def _default(key: Key) -> str:
    if key.default == "???":
        return "required"
    same = _INTERPOLATION.fullmatch(key.default)
    return f"as {same[1]}" if same else key.default


def _text(key: Key) -> str:
    return f"{key.said} (true | false)" if key.default in {"true", "false"} else key.said


def _hang(start: str, text: str, width: int, room: int | None = None) -> list[str]:
    """Put a text behind a start, its further lines below itself."""
    room = len(start) if room is None else room
    if len(start) > room and len(start) + len(text) > width:
        return [start.rstrip(), *_hang(" " * room, text, width)]
    folded = textwrap.wrap(text, max(width - max(room, len(start)), 30), break_long_words=False) or [""]
    return [(start + folded[0]).rstrip(), *(" " * room + line for line in folded[1:])]
