"""Mutated files are read or refused in words: no other error, no hang, no flood of memory.

``CRYOALIGN_FUZZ`` is how many: 10,000 in ``make fuzz``, else 300; ``CRYOALIGN_FUZZ_FIRST`` is the first.
Its number decides a mutation: ``CRYOALIGN_FUZZ_FIRST=8000 pytest tests/fuzz -k 8000`` makes that one again.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.errors import InputError
from tests.fuzz.inputs import INPUTS, copied, linked, write_originals
from tests.fuzz.limits import limited
from tests.fuzz.mutations import mutated

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Cli
    from tests.fuzz.inputs import Input

COUNT = int(os.environ.get("CRYOALIGN_FUZZ", "300"))
FIRST = int(os.environ.get("CRYOALIGN_FUZZ_FIRST", "0"))
OF_COMMANDS = COUNT // 14

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="session")
def originals(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every whole file."""
    folder = tmp_path_factory.mktemp("originals")
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (pairs,) = (file.parent for file in files if file.name == "raw.star")
    write_originals(run, pairs, folder)
    return folder


def spoil(
    number: int, originals: Path, folder: Path, fill: Callable[[Path, Path], None], kind: int
) -> tuple[Input, np.random.Generator]:
    """Fill a folder with the originals, one of them mutated."""
    rng = np.random.default_rng([number, kind])
    entry = INPUTS[number % len(INPUTS)]
    fill(originals, folder)
    content = mutated(rng, (originals / entry.name).read_bytes(), entry.mutations)
    (folder / entry.name).unlink()
    (folder / entry.name).write_bytes(content)
    return entry, rng


@pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT - OF_COMMANDS))
def test_readers(number: int, originals: Path, tmp_path: Path) -> None:
    entry, _ = spoil(number, originals, tmp_path, linked, 0)
    for read in entry.readers:
        with limited(), suppress(InputError):
            read(tmp_path / entry.name)
    shutil.rmtree(tmp_path)  # what failed is kept


@pytest.mark.parametrize("number", range(FIRST, FIRST + OF_COMMANDS))
def test_commands(number: int, originals: Path, tmp_path: Path, cli: Cli) -> None:
    entry, rng = spoil(number, originals, tmp_path, copied, 1)
    command = entry.commands[int(rng.integers(len(entry.commands)))]
    with limited():
        done = cli(*command)
    answers = {0, 2, 3} if command[0] == "audit" else {0}
    refused = done.code == 1 and "error: " in done.err
    assert done.code in answers or refused, f"{' '.join(command)}\n{done.err}"
    assert "Traceback" not in done.err, done.err
    assert "not enough memory" not in done.err, done.err
    shutil.rmtree(tmp_path)
