"""Words on the command line that are no ``key=value``: what was probably meant, and how to write it."""

from __future__ import annotations

import difflib
from argparse import ArgumentError
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.overrides import check_overrides
from cryoalign.cli.writing import as_typed, written
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACES = (
    "if it is part of a path with spaces, quote the whole argument: 'particles=\"my folder/run 1.star\"'"
)


def check_words(words: Sequence[str], command: str) -> None:
    """Refuse what neither Hydra's options nor its grammar can read, and show how to write it.

    What can be read is looked at by `cryoalign.cli.overrides.check_overrides`.

    Raises
    ------
    InputError
        At the first of them.
    """
    _refuse_bytes(words, command)
    options = get_args_parser()
    options.allow_abbrev = options.exit_on_error = False
    try:
        known, unknown = options.parse_known_args(words)
    except ArgumentError as error:
        named = (error.argument_name or "").split("/")
        place = next((place for place, word in enumerate(words) if word.partition("=")[0] in named), None)
        if place is None:
            raise InputError(
                str(error), remedy=f"cryoalign {command} --help lists what can be given"
            ) from error
        raise _no_option(words, place, command) from error
    for word in unknown:
        if word.startswith("-"):
            raise _no_option(words, words.index(word), command)
        raise InputError(
            f"an option stands among the keys, before {word!r}",
            expected="options first, or behind all keys",
            remedy=f"write the options (-m) directly behind cryoalign {command}",
        )
    parser, overrides = OverridesParser.create(), []
    for word in known.overrides:
        try:
            overrides += parser.parse_overrides([word])
        except OverrideParseException as error:
            raise InputError(
                f"cannot read the argument {word!r}",
                expected="key=value",
                remedy=_writing(word, words, command),
            ) from error
    check_overrides(overrides, command)


def _refuse_bytes(words: Sequence[str], command: str) -> None:
    """Refuse names of bytes that are no text: no configuration, table or page can hold them."""
    places = [("an argument", word) for word in words]
    if command == "train":  # a run writes of its place
        places.append(("the working directory", str(Path.cwd())))
    for what, text in places:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InputError(
                f"{what} is not UTF-8 text", found=ascii(text), remedy="rename the file or folder"
            )


def _no_option(words: Sequence[str], place: int, command: str) -> InputError:
    """Return the refusal of a word with dashes that is no option."""
    word, separator, value = words[place].partition("=")
    after = words[place + 1] if place + 1 < len(words) else ""
    if not separator and "=" not in after and not after.startswith("-"):
        value = after
    catalogue = read_catalogue(command)
    defaults = {group.name: "" for group in catalogue.groups}
    defaults |= {key.name: key.default for _, key in catalogue.all_keys()}
    meant = word.lstrip("-").replace("-", "_")
    near = [meant] if meant in defaults else difflib.get_close_matches(meant, defaults, 1)
    if near:
        value = value or ("true" if defaults[near[0]] == "false" else "VALUE")
        remedy = f"write {as_typed(near[0], value)}, without dashes"
    else:
        example = as_typed(catalogue.needed[0], value or "VALUE")
        remedy = f"write KEY=VALUE, without dashes, e.g. {example}; cryoalign {command} --help lists the keys"
    return InputError(f"there is no option {word}", expected="key=value", remedy=remedy)


def _writing(word: str, words: Sequence[str], command: str) -> str:
    """Return how to write a word that is no ``key=value``."""
    if word == "help":
        return f"cryoalign {command} --help"
    key, separator, value = word.partition("=")
    if key and separator:
        return _quoting(key, value)
    place = words.index(word)
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    if before.endswith("="):
        return f"write {as_typed(before[:-1], word)}, no spaces round ="
    if after.startswith("="):
        value = after.removeprefix("=") or "".join(words[place + 2 : place + 3])
        return f"write {as_typed(word, value)}, no spaces round ="
    return _SPACES


def _quoting(key: str, value: str) -> str:
    """Return how to write a key and a value that Hydra's grammar cannot read."""
    if value.startswith("~/"):
        return f"write {key}=$HOME{value[1:]}: ~ is your home folder only at the beginning of a word"
    if key != key.strip():
        return f"write {as_typed(key.strip(), value.strip() or 'VALUE')}, no spaces round ="
    return f"quote a value with special characters twice: {written(key, value)}"
