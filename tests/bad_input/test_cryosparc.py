"""Bad CryoSPARC files, through the commands: a message that says what to do, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.bad_input.conftest import SIMULATE, TRAIN, Refused, Spoil, cut
from tests.io.cryosparc_files import location, particles, save, without

if TYPE_CHECKING:
    from pathlib import Path

CS = "particles.cs"


def _renamed(path: Path) -> None:
    table = particles(60)
    table.dtype.names = tuple(name.replace("3D", "2D") for name in table.dtype.names or ())
    save(path, table)


def _nan(path: Path) -> None:
    table = particles(60)
    table["alignments3D/pose"][40] = np.nan
    save(path, table)


def _tilted(path: Path) -> None:
    table = particles(60)
    table["ctf/tilt_A"] = 0.2
    save(path, table)


BAD: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "cut off": (lambda f: cut(f / CS), (CS, "cannot be read", "cut off")),
    "empty": (lambda f: (f / CS).write_bytes(b""), (CS, "not a CryoSPARC .cs file", "expected")),
    "missing": (lambda f: (f / CS).unlink(), (CS, "no such file")),
    "a STAR file": (lambda f: (f / CS).write_bytes((f / "raw.star").read_bytes()), (CS, "not a CryoSPARC")),
    "2D alignments": (
        lambda f: _renamed(f / CS),
        (CS, "2D alignments only", "3D refinement", "passthrough="),
    ),
    "NaN": (lambda f: _nan(f / CS), (f"{CS}, row 41", "alignments3D/pose", "finite", "remedy")),
    "no uid": (lambda f: save(f / CS, without(particles(60), "uid")), (CS, "no uids", "remedy")),
    "aberrations": (lambda f: _tilted(f / CS), (CS, "ctf/tilt_A", "ignore_aberrations=true")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name: str, pairs: Path, refused: Refused) -> None:
    spoil, says = BAD[name]
    save(pairs / CS, particles(60))
    spoil(pairs)
    refused("simulate", *SIMULATE[1:], f"particles={CS}", says=says)


def test_bad_passthrough(pairs: Path, refused: Refused) -> None:
    table = particles(60)
    save(pairs / CS, table)
    save(pairs / "other.cs", location(table[:30]))
    command = ("simulate", *SIMULATE[1:])
    refused(*command, f"particles={CS}", "passthrough=other.cs", says=(f"{CS}, row 31", "other.cs", "uid"))
    refused(*command, f"particles={CS}", "passthrough=[gone.cs]", says=("gone.cs", "no such file"))
    refused(*command, f"particles={CS}", "passthrough=7", says=("passthrough cannot be used", "7"))
    refused(*command, "particles=raw.star", f"passthrough={CS}", says=("raw.star", "leave passthrough out"))


def test_pairs_that_are_none_and_stacks_that_are_not_there(pairs: Path, refused: Refused) -> None:
    for name in (CS, "sim.cs"):
        save(pairs / name, particles(60))
    options = (TRAIN[0], f"data.raw={CS}", *TRAIN[3:])
    refused("train", *options, "data.sim=sim/sim.star", says=("sim.star, row 1", "raw image", CS))
    says = ("J19/extract/a.mrc is not there", "tried", "root=FOLDER", "CryoSPARC")
    refused("train", *options, "data.sim=sim.cs", says=says)
