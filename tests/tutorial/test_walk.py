"""The tutorial does what it says, from the files of either program, and so does the notebook after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tutorial.page import (
    DOCS,
    Walk,
    check_what_the_page_says,
    check_what_the_page_says_of_the_run,
    walk,
)


@pytest.fixture(scope="module")
def relion(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return walk("RELION", tmp_path_factory.mktemp("tutorial"))


@pytest.mark.slow
def test_the_commands_do_what_the_page_says(relion: Walk) -> None:
    check_what_the_page_says(relion.folder, relion.printed, "star")
    check_what_the_page_says_of_the_run(relion.folder)


@pytest.mark.slow
def test_the_commands_for_cryosparc_do_what_the_page_says(relion: Walk, tmp_path: Path) -> None:
    # The first command is the same for both. The GAN is trained on the same pairs as RELION's and judged by
    # the same line, and that takes longest.
    shutil.copytree(relion.folder / "tutorial", tmp_path / "tutorial")
    done_before = ("cryoalign embedded", "cryoalign train data=stars", "cryoalign evaluate run=")
    done = walk("CryoSPARC", tmp_path, without=done_before)
    check_what_the_page_says(done.folder, done.printed, "cs")


@pytest.mark.slow
def test_the_notebook_runs_after_the_tutorial(relion: Walk) -> None:
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run(
        [sys.executable, "-c", "\n\n".join(code)],
        check=False,
        cwd=relion.folder,
        env=os.environ | {"MPLBACKEND": "Agg"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    rpsd = {
        name: float(value)
        for name, value in re.findall(r"^(\w+(?: raw)?) +(\d\.\d+)$", done.stdout, re.MULTILINE)
    }
    assert list(rpsd) == ["sim", "fake", "next raw"]
    assert rpsd["fake"] < 1.1 * rpsd["next raw"] < 0.5 * rpsd["sim"]
    assert "the same: True   another draw: False" in done.stdout
    fake, raw = map(float, re.findall(r"correlation with sim: fake (\S+), raw (\S+)", done.stdout)[0])
    assert abs(fake / raw - 1) < 0.1
