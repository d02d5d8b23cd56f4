"""The tutorial does what it says: its commands are taken from the page and run in order, for each program."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from cryoalign.cli import CONF_DIR
from cryoalign.io.metadata import read_particles

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "tutorial.md"
PROGRAMS = ("RELION", "CryoSPARC")
_FENCE = re.compile(r"^( *)```bash *(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
_TAB = re.compile(r'^=== "(.*)"$', re.MULTILINE)


def commands(program: str, *, own: bool = False) -> list[str]:
    """Return the page's commands for a program, in order: those to run, or those for a reader's own job."""
    page, found = PAGE.read_text(encoding="utf-8"), []
    tabs = [(match.start(), match[1]) for match in _TAB.finditer(page)]
    for indent, title, text in ((m[1], m[2], m) for m in _FENCE.finditer(page)):
        tab = [name for start, name in tabs if start < text.start()][-1] if indent else program
        if tab == program and bool(title) == own:
            found.append(textwrap.dedent(text[3]).strip())
    return found


def words(command: str) -> list[str]:
    """Split a command as a shell does."""
    return shlex.split(command.replace("\\\n", " "))


@dataclass(frozen=True)
class Walk:
    """What a reader has after the last command: the folder, and what each command printed."""

    folder: Path
    printed: dict[str, str]


Walks = Callable[[str], Walk]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walks:
    """Run the commands of the page for a program, once."""

    @cache
    def walked(program: str) -> Walk:
        shell, folder = tmp_path_factory.mktemp("bin") / "cryoalign", tmp_path_factory.mktemp(program)
        shell.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cryoalign "$@"\n')
        shell.chmod(0o755)
        path = f"{shell.parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}  # other tests run beside
        printed = {}
        for command in commands(program):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                check=False,
                cwd=folder,
                env=environment,
                text=True,
                capture_output=True,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed[" ".join(words(command)[1:3])] = done.stdout
        return Walk(folder, printed)

    return walked


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_commands_do_what_the_page_says(program: str, walk: Walks) -> None:
    done = walk(program)
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "audit", "fake", "judged", "outputs", "report", "sim", "tutorial"
    ]  # fmt: skip
    check_the_words_of_the_page(done.folder, done.printed, "cs" if program == "CryoSPARC" else "star")


@pytest.mark.slow
def test_the_notebook_runs_after_the_tutorial(walk: Walks) -> None:
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run(
        [sys.executable, "-c", "\n\n".join(code)],
        check=False,
        cwd=walk("RELION").folder,
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


def check_the_words_of_the_page(work: Path, printed: dict[str, str], suffix: str) -> None:
    tree = PAGE.read_text(encoding="utf-8").split("tutorial/\n", 1)[1].split("```", 1)[0]
    names = {path.name for path in (work / "tutorial").rglob("*")}
    for shown in re.findall(r"── (\S+)", tree):
        assert set(shown.strip("/").split("/")) <= names
    audited = next(text for command, text in printed.items() if command.startswith("audit"))
    sigma = re.search(r"pairs agree, (\d+) sigma", audited)
    assert sigma is not None
    assert 80 < int(sigma[1]) < 130
    tested = json.loads((work / "outputs/train/spectral/test/metrics.json").read_text())
    assert tested["RPSD_L1"] < 1.1 * tested["floor_RPSD_L1"] < 0.4 * tested["sim_RPSD_L1"]
    for name in ("RPSD_L1", "pixel_L1"):
        row = re.search(rf"^│ {name.replace('_', ' ')} .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        assert row is not None
        made = [tested[f"{prefix}{name}"] for prefix in ("sim_", "", "floor_")]
        np.testing.assert_allclose(made, [float(number) for number in row[0].split("│")[2:5]], rtol=0.03)
    answers = verdicts(work / "outputs/train/gan/held_out_last/evaluation.json")
    assert {answers["fake"][name] for name in ("spectrum", "noise", "two_sample")} == {"fail"}
    assert {answers["spectral"][name] for name in ("spectrum", "noise")} == {"pass"}
    assert answers["spectral"]["two_sample"] != "fail"
    judged = verdicts(work / "judged/evaluation.json")["fake"]
    assert list(judged.values()) == ["pass"] * 7
    fakes, sims = (read_particles(work / name / f"{name}.{suffix}") for name in ("fake", "sim"))
    np.testing.assert_allclose(fakes.angles, sims.angles, atol=1e-4)
    assert (work / "report/report.html").is_file()


def verdicts(path: Path) -> dict[str, dict[str, str]]:
    """Return the answers of an evaluation by candidate and question."""
    document = json.loads(path.read_text())
    return {
        name: {
            key: answer["verdict"]
            for measure in candidate["measures"].values()
            for key, answer in measure["answers"].items()
        }
        for name, candidate in document["candidates"].items()
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_reader_types_for_an_own_job_has_the_same_keys(program: str) -> None:
    shown = commands(program, own=True)
    assert len(shown) == 5
    for command in shown:
        _, name, *overrides = words(command)
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            compose(
                name, [entry for entry in overrides if not entry.startswith("hydra.")]
            )  # refuses unknown keys


def test_both_programs_are_shown_the_same_steps() -> None:
    steps = [[words(command)[1] for command in commands(program)] for program in PROGRAMS]
    assert steps[0] == steps[1]
    assert steps[0] == [
        "embedded", "simulate", "audit", "train", "train", "evaluate", "export", "evaluate", "report"
    ]  # fmt: skip


def test_the_figures_of_the_page_are_there_and_small() -> None:
    shown = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert shown
    assert all((DOCS / name).stat().st_size < 300_000 for name in shown)
