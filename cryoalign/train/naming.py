"""What a run is called, from what was given on its command line; the runs of a sweep by what they vary.

A job of ``-m loss.weights.rpsd=0,0.5 seed=1,2`` is called ``rpsd=0.5,seed=2`` in TensorBoard and in reports,
and its folder ``3_rpsd-0.5_seed-2``, which a shell and Hydra take as it is. Nothing heavy is imported here:
Hydra asks for the folder's name before any work starts.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hydra.types import RunMode

from cryoalign.cli.job import given_words
from cryoalign.errors import InputError
from cryoalign.runs.description import REMEDY, read_table
from cryoalign.runs.names import run_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_LONGEST = 100  # characters of a name: file systems take 255


@dataclass(frozen=True)
class Origin:
    """What was given on the command line of a run.

    Attributes
    ----------
    name : str
        What the run is called, e.g. ``rpsd=0.5,seed=2``; empty for a run that is not one of a sweep.
    varied : dict of str to str
        Full key and value of what the sweep varies.
    overrides : list of str
        Everything that was given.
    choices : dict of str to str
        The chosen file of each group of the configuration.
    """

    name: str = ""
    varied: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return it as plain values, for the run's ``provenance.json``."""
        return asdict(self)


def find_origin(folder: Path) -> Origin:
    """Describe the run that Hydra has just started in a folder."""
    hydra = HydraConfig.get()
    overrides, name, varied = given_words(), "", dict[str, str]()
    if hydra.mode == RunMode.MULTIRUN:
        varied = varied_values(overrides, _swept_keys(hydra.sweeper))
        name = sweep_name(varied)
        if name and tensorboard_folder(folder, name).exists():  # the sweep holds these values twice
            name += f",job={hydra.job.num}"
    choices = {
        key: str(value) for key, value in hydra.runtime.choices.items() if not key.startswith("hydra/")
    }
    return Origin(name, varied, overrides, choices)


def read_origin(folder: Path) -> Origin:
    """Read what a run's ``provenance.json`` says of it; nothing where there is none yet."""
    path = folder / "provenance.json"
    facts = read_table(path) if path.is_file() else {}
    known = {key: facts[key] for key in Origin.__dataclass_fields__ if key in facts}
    for key, value in known.items():
        kind: type = {"name": str, "overrides": list}.get(key, dict)
        texts = value.values() if isinstance(value, dict) else value
        if type(value) is not kind or not all(isinstance(text, str) for text in texts):
            raise InputError(f"{key} cannot be used", file=path, found=value, remedy=REMEDY)
    name = known.get("name", "")
    if name in {".", ".."} or set(name) & {"/", os.sep, "\0"}:
        raise InputError(
            "the name of this run is a path",
            file=path,
            expected="a name such as rpsd=0.5,seed=2",
            found=name,
            remedy=REMEDY,
        )
    return Origin(**known)


def tensorboard_folder(folder: Path, name: str | None = None) -> Path:
    """Locate the TensorBoard log of a run.

    TensorBoard shows folders by their names, so the runs of a sweep have theirs in one folder beside them.

    Parameters
    ----------
    folder : Path
        Of the run.
    name : str, optional
        Of the run; read from its folder without it.
    """
    name = read_origin(folder).name if name is None else name
    return folder.parent / "tensorboard" / name if name else folder / "tensorboard"


def varied_values(overrides: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """Return the values that one job has of what the sweep varies, by full key."""
    wanted, found = set(keys), {}
    for entry in overrides:
        key, _, value = entry.lstrip("+~").partition("=")
        if key in wanted:
            found[key] = value.strip("'\"")
    return found


def sweep_name(varied: Mapping[str, str]) -> str:
    """Name a run of a sweep by what it varies: ``rpsd=0.5,seed=2``; of a path the last part."""
    values = {key.replace("/", "."): _short(value.rpartition("/")[2]) for key, value in varied.items()}
    return run_name(values, values)[:_LONGEST]


def _short(value: str) -> str:
    """Round a number that nobody typed: one that a search drew from an interval."""
    try:
        return f"{float(value):.4g}" if "." in value and len(value) > 8 else value
    except ValueError:
        return value


def job_folder(number: int, overrides: Sequence[str], sweeper: Mapping[str, Any]) -> str:
    """Name the folder of a job of a sweep: its number, and what it varies, in ``[A-Za-z0-9._-]``."""
    name = sweep_name(varied_values(overrides, _swept_keys(sweeper)))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace(",", "_"))
    return f"{number}_{plain}"[:_LONGEST].rstrip("._-")


def _swept_keys(sweeper: Mapping[str, Any]) -> list[str]:
    """Return the keys of which the command line, or the sweeper's own list, has several values."""
    parser, found = OverridesParser.create(), list(sweeper.get("params") or {})
    for argument in sys.argv[1:]:
        try:
            (override,) = parser.parse_overrides([argument])
        except OverrideParseException:
            continue  # an option of Hydra's, or the name of a subcommand
        if override.is_sweep_override():
            found.append(override.key_or_group)
    return [key.lstrip("+~") for key in found]
