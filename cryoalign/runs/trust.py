"""What the configuration of a run may name: a run's folder may come from somebody else, and whatever is built
from its ``config.yaml`` runs.

A target is judged by what it is, a class of a known kind that comes with a known package, and by the place
where it stands; nothing of another package is imported to find that out.
"""

from __future__ import annotations

import fnmatch
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from cryoalign.cli.literal import buildable
from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
_Place = tuple[str, ...]
_TARGET, _PARTIAL = "_target_", "_partial_"
#: What Hydra reads beside a target. In the configurations of cryoalign only ``_partial_`` is used.
_SPECIAL = frozenset({_PARTIAL, "_args_", "_convert_", "_recursive_"})
_REMEDY = (
    "a run's folder runs what it names: if this is a class of your own, give trust=[MODULE.CLASS]; "
    "if the folder is somebody else's, ask what it is first"
)


@dataclass(frozen=True)
class Slot:
    """A place of the configuration, and what may stand there.

    Attributes
    ----------
    key : str
        Dotted; ``*`` is any one name.
    kind : type
        What a class has to derive from.
    home : str
        Package that it has to come with.
    only : tuple of object
        Where they are few: the classes or functions that may stand there, and no others.
    partial : bool
        Whether it is called later, with ``_partial_``.
    keys : frozenset of str, optional
        The arguments that may be given; any without it.
    """

    key: str
    kind: type
    home: str = "cryoalign"
    only: tuple[object, ...] = ()
    partial: bool = False
    keys: frozenset[str] | None = None

    @property
    def part(self) -> str:
        """The part of the configuration that it lies in."""
        return self.key.partition(".")[0]

    def fits(self, path: Sequence[str]) -> bool:
        """Whether this is the slot of a place."""
        own = self.key.split(".")
        return len(own) == len(path) and all(map(fnmatch.fnmatchcase, path, own))

    def takes(self, name: str) -> bool:
        """Whether what a name stands for may stand here."""
        found = _find(name, self.home)
        if found is None or found is not _find(_own_name(found), self.home):
            return False
        if self.only:
            return any(found is entry for entry in self.only)
        return isinstance(found, type) and issubclass(found, self.kind)

    def __str__(self) -> str:
        if self.only:
            return " or ".join(map(_own_name, self.only))
        return f"a class of {self.home} that derives from {_own_name(self.kind)}"


def trusted_names(given: object) -> frozenset[str]:
    """Return the names of the classes that a user trusts.

    Parameters
    ----------
    given : None, str, type, or several
        Classes, or their full names.

    Raises
    ------
    InputError
        If it is something else.
    """
    if given is None:
        return frozenset()
    entries = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not all(isinstance(entry, str | type) for entry in entries):
        raise InputError(
            "trust cannot be used",
            expected="classes, e.g. [my_package.gain.Gain]",
            found=given,
            remedy="write trust=[MODULE.CLASS]",
        )
    return frozenset(entry if isinstance(entry, str) else _own_name(entry) for entry in entries)


def every_target(cfg: DictConfig) -> frozenset[str]:
    """Return what a configuration names, for one that is the user's own."""
    tree = OmegaConf.to_container(cfg, resolve=True)
    return frozenset(str(node[_TARGET]) for _, node in _nodes(tree) if _TARGET in node)


def check_targets(cfg: DictConfig, slots: Sequence[Slot], trust: Collection[str], file: Path) -> None:
    """Refuse a configuration that names what may not be built, before anything is built.

    Parameters
    ----------
    cfg : DictConfig
        Of a run; nothing in it is looked up elsewhere.
    slots : sequence of Slot
        What will be built; of other parts of the configuration nothing is.
    trust : collection of str
        Full names that the user trusts, wherever they stand.
    file : Path
        Where the configuration was read.

    Raises
    ------
    InputError
        If it names what is neither known nor trusted.
    """
    tree = OmegaConf.to_container(cfg, resolve=True)
    parts = {slot.part for slot in slots}
    for path, node in _nodes(tree):
        if path and path[0] in parts:
            _check_node(path, node, [slot for slot in slots if slot.fits(path)], trust, file)


def build(node: object, kind: type[_T], key: str, *, plain: bool = False, **arguments: object) -> _T:
    """Build a part of a configuration that has been checked, or is the user's own.

    Parameters
    ----------
    node : object
        The part.
    kind : type
        What has to come of it.
    key : str
        Where it stands, for messages.
    plain : bool
        Hand over dicts and lists in place of parts of the configuration.
    **arguments
        Given to the constructor besides.

    Raises
    ------
    InputError
        If it is something else, or refuses its arguments.
    """
    if plain:
        arguments["_convert_"] = "all"
    try:
        made = instantiate(buildable(node), **arguments) if isinstance(node, DictConfig) else None
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        reason = error.__cause__ or error
        raise InputError(
            f"{key} cannot be built",
            found=str(reason).splitlines()[0],
            remedy="correct its arguments: cryoalign train --help all says what they mean",
        ) from error
    if not isinstance(made, kind):
        raise InputError(
            f"{key}._target_ is not {_article(kind.__name__)}",
            expected=f"a class that derives from {_own_name(kind)}",
            found=node.get(_TARGET) if isinstance(node, DictConfig) else node,
            remedy="name such a class, or leave the _target_ out",
        )
    return made


def entries(cfg: DictConfig, key: str) -> Iterator[tuple[str, object]]:
    """Yield what a part of the configuration holds under names, with its place; not names without a value.

    Raises
    ------
    InputError
        If the part holds something else.
    """
    part = cfg.get(key)
    if part is not None and not isinstance(part, DictConfig):
        raise InputError(
            f"{key} cannot be used",
            expected="names and what they stand for",
            found=str(part),
            remedy=f"write {key}.NAME=VALUE, or leave {key} out",
        )
    yield from ((f"{key}.{name!s}", node) for name, node in (part or {}).items() if node)


def _check_node(
    path: _Place, node: dict[object, object], slots: list[Slot], trust: Collection[str], file: Path
) -> None:
    """Refuse one mapping of the configuration if it may not be built."""
    place = ".".join(path)
    name = node.get(_TARGET)
    if isinstance(name, str) and name in trust:
        return
    known = [slot for slot in slots if _TARGET in node and isinstance(name, str) and slot.takes(name)]
    if _TARGET in node and not known:
        raise InputError(
            f"this run names something that is not known: {place}.{_TARGET}",
            file=file,
            expected=" or ".join(map(str, slots)) or "nothing that is built, in this place",
            found=repr(name),
            remedy=_REMEDY,
        )
    for key, value in node.items():
        special = key in _SPECIAL and not (key == _PARTIAL and any(slot.partial for slot in known))
        if special or any(slot.keys is not None and key not in {*slot.keys, _TARGET} for slot in known):
            raise InputError(
                f"this run gives an argument that is not known: {place}.{key}",
                file=file,
                found=repr(value),
                remedy=f"{_REMEDY} (here {name})" if _TARGET in node else "take it out",
            )


def _nodes(tree: object, path: _Place = ()) -> Iterator[tuple[_Place, dict[object, object]]]:
    """Yield every mapping of a tree with its place, those in lists too."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(tree, dict):
        yield path, tree
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    for key, value in items:
        yield from _nodes(value, (*path, str(key)))


def _find(name: str, home: str) -> object:
    """Find what a name stands for, importing nothing but modules of one package; None without it."""
    parts = name.split(".")
    plain = all(part.isidentifier() and not part.startswith("_") for part in parts)
    if not plain or parts[: home.count(".") + 1] != home.split("."):
        return None
    try:
        found: object = pkgutil.resolve_name(name)
        return found if found is get_object(name) else None  # what is judged is what Hydra will call
    except (ImportError, AttributeError, ValueError, RuntimeError):
        return None


def _own_name(found: object) -> str:
    """Return the name under which something was defined, whatever it is also called."""
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name.lower()}"
