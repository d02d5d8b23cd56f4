"""The tutorial as a page: its commands, run in order for each program, and what it says of them."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from cryoalign.io.metadata import read_particles
from tests.conftest import run_here

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "tutorial.md"
PROGRAMS = ("RELION", "CryoSPARC")
_FENCE = re.compile(r"^( *)```bash *(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
_TAB = re.compile(r'^=== "(.*)"$', re.MULTILINE)


def commands(program: str, *, for_own_job: bool = False) -> list[str]:
    """Return the page's commands for a program, in order: those to run, or those for a reader's own job."""
    page, found = PAGE.read_text(encoding="utf-8"), []
    tabs = [(match.start(), match[1]) for match in _TAB.finditer(page)]
    for indent, title, text in ((m[1], m[2], m) for m in _FENCE.finditer(page)):
        tab = [name for start, name in tabs if start < text.start()][-1] if indent else program
        if tab == program and bool(title) == for_own_job:
            found.append(textwrap.dedent(text[3]).strip())
    return found


def arguments(command: str) -> list[str]:
    """Split a command as a shell does."""
    return shlex.split(command.replace("\\\n", " "))


@dataclass(frozen=True)
class Walk:
    """What a reader has after the last command: the folder, and what each command printed."""

    folder: Path
    printed: dict[str, str]


def walk(program: str, folder: Path, *, without: tuple[str, ...] = ()) -> Walk:
    """Run the commands of the page for a program, in a folder; without those that begin so."""
    printed = {}
    for command in commands(program):
        if command.startswith(without):
            continue
        _, name, *words = arguments(command)
        with redirect_stdout(StringIO()) as out:
            code = run_here(folder, name, *words, pictures=True)
        assert code == 0, command
        printed[" ".join((name, *words[:1]))] = out.getvalue()
    return Walk(folder, printed)


def check_what_the_page_says(work: Path, printed: dict[str, str], suffix: str) -> None:
    assert sorted(path.name for path in work.iterdir()) == [
        "audit", "fake", "judged", "outputs", "report", "sim", "tutorial"
    ]  # fmt: skip
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
        shown = [float(number) for number in row[0].split("│")[2:5]]
        np.testing.assert_allclose(made[::2], shown[::2], rtol=0.01)
        # The noise of the fakes is another where the map's last digits are: on another processor. That of
        # CryoSPARC's particles always is: they are known by uid, not by name.
        np.testing.assert_allclose(made[1], shown[1], rtol=0.15)
    judged = verdicts(work / "judged/evaluation.json")["fake"]
    of_stacks = ("spectrum", "peaks", "content", "noise", "grey", "shared", "copied")
    assert {name: judged[name] for name in of_stacks} == dict.fromkeys(of_stacks, "pass")
    assert judged["skewness"] == "fail"
    fakes, sims = (read_particles(work / name / f"{name}.{suffix}") for name in ("fake", "sim"))
    np.testing.assert_allclose(fakes.angles, sims.angles, atol=1e-4)
    assert (work / "report/report.html").is_file()


def check_what_the_page_says_of_the_run(work: Path) -> None:
    answers = verdicts(work / "outputs/train/gan/held_out_last/evaluation.json")
    assert {answers["fake"][name] for name in ("spectrum", "noise", "two_sample")} == {"fail"}
    assert {answers["spectral"][name] for name in ("spectrum", "noise")} == {"pass"}
    assert {answers["spectral"][name] for name in ("skewness", "two_sample")} == {"fail"}
    assert {answers["physical"][name] for name in ("spectrum", "noise", "skewness", "two_sample")} == {"pass"}


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
