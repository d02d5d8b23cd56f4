"""What is set on the command line, looked at before anything is composed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydra.core.override_parser.types import ChoiceSweep, QuotedString

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.composition import no_choice
from cryoalign.cli.flatten import flatten
from cryoalign.cli.paths import no_path
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.override_parser.types import Override

    from cryoalign.cli.catalogue import Catalogue, Group

#: Parts whose entries may be null: that one is not made then.
_LEFT_OUT_BY_NULL = frozenset({"callbacks", "logger"})


def check_overrides(overrides: Sequence[Override], command: str) -> None:
    """Refuse null where a value has to be, what is no choice of a group, and a key with two values.

    Parameters
    ----------
    overrides : sequence of Override
        In the order of the command line.
    command : str

    Raises
    ------
    InputError
        At the first of them.
    """
    catalogue = read_catalogue(command)
    before: dict[str, str] = {}
    for override in overrides:
        name, word = override.key_or_group, str(override.input_line)
        group = catalogue.group(name)
        if group is not None:
            _check_group(group, override)
        elif override.is_delete():
            _refuse_needed(catalogue, name)
        else:
            for value in _values(override):
                for key, entry in flatten({name: value}).items():
                    _check_value(catalogue, key, entry)
        # Lightning starts its processes with a second hydra.run.dir
        repeats = override.is_delete() or name.startswith("hydra") or (group and override.is_add())
        if repeats:
            continue
        if name in before and before[name] != word:
            raise InputError(
                f"{name} is given twice",
                expected="one value",
                found=f"{before[name]} and {word}",
                remedy="leave one of them out; -m with values between commas tries one after the other",
            )
        before[name] = word


def _values(override: Override) -> list[object]:
    """Return the values of an override: several of a sweep over choices."""
    value = override.value()
    return list(value.list) if isinstance(value, ChoiceSweep) else [value]


def _check_group(group: Group, override: Override) -> None:
    """Refuse what Hydra cannot choose from a group."""
    null = override.value() is None and not override.is_delete()
    if override.is_delete() or (null and group.several and group.chosen):
        none = f"{group.name}=[] leaves all of them out" if group.several and group.chosen else None
        raise InputError(
            f"{group.name} cannot be " + ("null" if null else "taken away as a whole"),
            expected=", ".join(choice.name for choice in group.choices),
            found=override.input_line,
            remedy=none or f"leave it out, or choose one: {group.label}=CHOICE",
        )
    if override.is_force_add() or (override.is_add() and not group.several):
        raise InputError(
            f"{group.name} is there already",
            expected=", ".join(choice.name for choice in group.choices),
            found=override.input_line,
            remedy=f"write {group.label}=CHOICE" + ("" if group.several else ", without +"),
        )
    for value in _values(override):
        for entry in value if isinstance(value, list) else [value]:
            if entry is None or not isinstance(entry, str | QuotedString):
                raise no_choice(group, "null" if entry is None else str(entry))


def _refuse_needed(catalogue: Catalogue, name: str) -> None:
    """Refuse to take away what every command reads itself; what is below may have a default elsewhere."""
    if any(key.name == name for key in catalogue.keys) and "." not in name:
        raise InputError(f"{name} is needed and cannot be taken away", remedy=f"leave ~{name} out")


def _check_value(catalogue: Catalogue, name: str, value: object) -> None:
    """Refuse null for a key that has a value in every file of ``conf/``, and a path without a name."""
    found = [key for _, key in catalogue.all_keys() if key.name == name]
    if value == "" and any(key.path for key in found):
        raise no_path(found[0], value)
    if value is not None:
        return
    if found and all(key.default != "null" for key in found):
        default, said = found[0].default, found[0].said
    elif not found and name in catalogue.nodes and name.rpartition(".")[0] not in _LEFT_OUT_BY_NULL:
        default, said = "", catalogue.nodes[name]
    else:
        return
    shown = f"; its default is {default}" if default and default != "..." else ""
    raise InputError(
        f"{name} cannot be null",
        expected=said or "a value",
        remedy=f"give it as {name}=VALUE" if default == "???" else f"leave {name} out{shown}",
    )
