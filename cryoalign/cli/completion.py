"""Shell completion of commands, groups, choices and keys, without Hydra, whose own loses the command."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cryoalign.cli.catalogue import Catalogue, read_catalogue
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FLAGS = ("--help", "--cfg", "--multirun")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?")

#: bash breaks words at =, and wants the part behind the last of them; without candidates it looks for files.
_BASH = """\
_cryoalign_completion() {
    local line word prefix= candidate
    line=${COMP_LINE:0:$COMP_POINT}
    word=${line##*[[:space:]]}
    case $COMP_WORDBREAKS in *=*) prefix=${word%"${word##*=}"} ;; esac
    COMPREPLY=()
    while IFS= read -r candidate; do
        [ -n "$candidate" ] && COMPREPLY+=("${candidate#"$prefix"}")
    done < <(COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT "$1" -sc query=bash 2>/dev/null)
    [ ${#COMPREPLY[@]} -gt 0 ] || compopt +o nospace 2>/dev/null
    return 0
}
complete -o default -o nospace -F _cryoalign_completion cryoalign
"""


def answer(commands: Sequence[str], arguments: Sequence[str]) -> str:
    """Answer ``-sc``: the script to install or to remove, or candidates for the line that bash asks about.

    Parameters
    ----------
    commands : sequence of str
        All there are.
    arguments : sequence of str
        Of the command line.

    Raises
    ------
    InputError
        If something else is asked for.
    """
    asked = [word for word in arguments if not word.startswith("-")]
    if asked == ["install=bash"]:
        return _BASH
    if asked == ["uninstall=bash"]:
        return "complete -r cryoalign\nunset -f _cryoalign_completion"
    if asked == ["query=bash"]:
        line = os.environ.get("COMP_LINE", "")
        return "\n".join(candidates(commands, line[: int(os.environ.get("COMP_POINT", len(line)))]))
    raise InputError(
        "this completion is not known",
        expected="-sc install=bash or -sc uninstall=bash",
        found=" ".join(asked) or "nothing",
        remedy='eval "$(cryoalign -sc install=bash)"',
    )


def candidates(commands: Sequence[str], line: str) -> list[str]:
    """Return how the last word of a command line may go on.

    Parameters
    ----------
    commands : sequence of str
        All there are.
    line : str
        Up to the cursor.

    Returns
    -------
    list of str
        Whole words; those that nothing follows have a space at their end.
    """
    words = line.split()
    word = words.pop() if words and not line[-1].isspace() else ""
    if len(words) < 2:
        names = (*commands, "--help", "--version") if words else ()
    elif words[1] not in commands:
        names = ()
    elif words[-1] in {"--cfg", "-c"}:
        names = ("job", "hydra", "all")
    elif word.startswith("-"):
        names = _FLAGS
    elif {"-h", "--help"} & set(words):
        names = ("all", *(group.name for group in read_catalogue(words[1]).groups))
    else:
        catalogue = read_catalogue(words[1])
        return _values(catalogue, words, word) if "=" in word else _names(catalogue, words, word)
    return [f"{name} " for name in names if name.startswith(word)]


def _names(catalogue: Catalogue, words: Sequence[str], word: str) -> list[str]:
    """Complete the name of a group or a key, one level of keys at a time."""
    found = {f"{group.label}=" for group in catalogue.groups}
    for name in _keys(catalogue, words):
        level = name.find(".", len(word)) if name.startswith(word) else -1
        found.add(f"{name}=" if level < 0 else name[: level + 1])
    return sorted(name for name in found if name.startswith(word))


def _keys(catalogue: Catalogue, words: Iterable[str]) -> list[str]:
    """Return the names of all keys with the choices made on the command line."""
    made = dict(word.lstrip("+").partition("=")[::2] for word in words)
    names = [key.name for key in catalogue.keys if key.default]
    for group in catalogue.groups:
        given = made.get(group.name, "").strip("[]").split(",")
        chosen = {*given, *group.chosen} if group.several or given == [""] else given
        names += [
            key.name
            for choice in group.choices
            if choice.name in chosen
            for key in choice.keys
            if key.default
        ]
    return names


def _values(catalogue: Catalogue, words: Sequence[str], word: str) -> list[str]:
    """Complete what stands behind =, the last element of a list or a sweep."""
    name, _, value = word.partition("=")
    last = re.split(r"[\[,]", value)[-1]
    before = word[: len(word) - len(last)]
    end = "" if "[" in value or {"-m", "--multirun"} & set(words) else " "  # it may go on with a comma
    return [f"{before}{choice}{end}" for choice in _choices(catalogue, name) if choice.startswith(last)]


def _choices(catalogue: Catalogue, name: str) -> list[str]:
    group = catalogue.group(name.lstrip("+~"))
    if group is not None:
        return [choice.name for choice in group.choices]
    for _, key in catalogue.all_keys():
        if key.name == name:
            return list(key.choices) or ([key.default] if _NUMBER.fullmatch(key.default) else [])
    return []
