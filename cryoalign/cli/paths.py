"""Whether the files and folders that a command was given are there, before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from cryoalign.cli.catalogue import read_catalogue
from cryoalign.cli.flatten import flatten
from cryoalign.cli.literal import literal
from cryoalign.cli.writing import written
from cryoalign.errors import InputError, existing

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cryoalign.cli.conf_file import Key


def check_paths(cfg: DictConfig, command: str) -> None:
    """Refuse a command without what it needs, or with a file or folder that is not there.

    A ``~`` that a path begins with becomes the home folder, in place. Which keys name one says the mark in
    their comments in ``conf/``: ``(file)``, ``(file or list)``, ``(file, folder or list)``, ``(folder)`` or
    ``(run folder)``.
    """
    raw = flatten(OmegaConf.to_container(cfg, resolve=False))
    keys = {key.name: key for _, key in read_catalogue(command).all_keys()}
    for name, key in keys.items():
        if raw.get(name) == "???":
            raise not_given(name)
        value = _value(cfg, name, raw.get(name)) if key.path else None
        if value is None:
            continue
        several = isinstance(value, ListConfig) and key.path.endswith("or list")
        entries: list[object] = list(value) if isinstance(value, ListConfig) and several else [value]
        places = [_checked(key, entry) for entry in entries]
        if any(str(entry).startswith("~") for entry in entries):
            OmegaConf.update(cfg, name, literal(places if several else places[0]))


def at_home(path: str | Path) -> Path:
    """Return a path with the home folder in the place of ``~`` or ``~NAME``, if there is such a user.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Path
        As it stands where there is no such user: a folder may be called so.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def not_given(name: str) -> InputError:
    """Return the refusal of a command without a key that it needs."""
    return InputError(f"{name} has no default and was not given", remedy=f"give it as {name}=VALUE")


def no_path(key: Key, value: object) -> InputError:
    """Return the refusal of a value that names no file or folder."""
    number = isinstance(value, int) and not isinstance(value, bool)  # a name of digits
    return InputError(
        f"{key.name} cannot be used",
        expected="one path, or several: [A,B]" if key.path.endswith("or list") else "one path",
        found="nothing" if value == "" else value,
        remedy=f"write {written(key.name, value) if number else f'{key.name}=PATH'}",
    )


def _value(cfg: DictConfig, name: str, raw: object) -> object:
    """Return the value of a key, None where it is not there; `raw` is what was given."""
    try:
        return OmegaConf.select(cfg, name)
    except InterpolationKeyError as error:
        raise InputError(
            f"{name} cannot be used: ${{...}} stands for another key",
            expected="a key that is there",
            found=raw,
            remedy=f"if it belongs to a name, write {written(name, raw)}",
        ) from error


def _checked(key: Key, entry: object) -> str:
    """Return one entry of a key, with the home folder in the place of ``~``; refuse what cannot be used."""
    if not isinstance(entry, str) or not entry:
        raise no_path(key, entry)
    place, meaning = at_home(entry), key.said.partition(";")[0]
    if key.path.startswith("file") and not ("folder" in key.path and place.is_dir()):
        existing(place, meaning)
    elif key.path == "run folder":
        existing_run(place)
    elif key.path == "folder" and not place.is_dir():
        problem = "this is not a folder" if place.exists() else "there is no such folder"
        raise InputError(
            problem,
            file=place,
            expected=meaning,
            remedy="look for a typing error; a relative path begins where the command is given",
        )
    return str(place)


def existing_run(folder: Path) -> Path:
    """Return a folder that holds a run.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    InputError
        If it is no such folder.
    """
    if not (folder / "config.yaml").is_file() or not (folder / "data.json").is_file():
        raise InputError(
            "this is not the folder of a run" if folder.is_dir() else "this folder does not exist",
            file=folder,
            expected="a folder made by cryoalign train, with config.yaml and data.json",
            remedy="give the run folder that the training printed",
        )
    return folder
