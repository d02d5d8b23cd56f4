"""How an argument is written so that a shell and Hydra take its value for what it is."""

from __future__ import annotations

import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException


def written(key: str, value: object) -> str:
    """Return ``key=value`` for a command line, quoted where it has to be.

    Parameters
    ----------
    key : str
    value : object
        A path, say, with any characters.

    Examples
    --------
    >>> written("run", "outputs/train/RUN")
    'run=outputs/train/RUN'
    >>> print(written("run", "its/my run,1"))
    'run="its/my run,1"'
    >>> print(written("run", "Peter's"))
    'run="Peter'"'"'s"'
    """
    text = str(value)
    if "${" not in text and _value(f"{key}={text}") == text:
        return shlex.quote(f"{key}={text}")
    escaped = text.replace("${", "\\${").replace('"', '\\"')
    return shlex.quote(f'{key}="{escaped}"')


def as_typed(key: str, value: str) -> str:
    """Return ``key=value`` with what was typed elsewhere: a number stays one, other text is quoted."""
    return shlex.quote(f"{key}={value}") if _value(f"{key}={value}") is not None else written(key, value)


def _value(argument: str) -> object:
    """Return the value of an argument, None where Hydra's grammar cannot read it."""
    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
    except OverrideParseException:
        return None
    return override.value()
