"""Every command of the documentation can be given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from cryoalign.audit.hypotheses.flip import Contrast
from cryoalign.cli import CONF_DIR
from cryoalign.cli.command import COMMANDS
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.finding import Verdict
from tests.conftest import REPOSITORY, installed

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]

#: What needs an extra: how its word begins, the extra, and its package.
EXTRAS = {
    "hydra/launcher=joblib": ("parallel", "hydra-joblib-launcher"),
    "hydra/launcher=submitit": ("slurm", "hydra-submitit-launcher"),
    "+hparams_search=": ("search", "hydra-optuna-sweeper"),
}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """List the commands of a page's code blocks: their names and arguments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for block in text.split("```")[1::2] for line in block.splitlines()[1:]]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("cryoalign ")]
    known = [word for word in words if word[1] in COMMANDS and "--config-dir" not in word]
    return [(word[1], word[2:]) for word in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    not_installed = []
    for name, arguments in commands(page):
        if missing := {
            extra
            for word, (extra, package) in EXTRAS.items()
            for given in arguments
            if given.startswith(word) and not installed(package)
        }:
            not_installed += missing
            continue
        keys = [argument for argument in arguments if "=" in argument and argument != "..."]
        if "-m" in arguments:  # a sweep: the first of its values
            keys = [
                key if key.partition("=")[2].startswith(("{", "[")) else key.partition(",")[0] for key in keys
            ]
        GlobalHydra.instance().clear()
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            assert compose(name, keys)
    if not_installed:
        pytest.skip(f"all but the commands that need cryoalign[{','.join(sorted(set(not_installed)))}]")


def example(name: str) -> Any:
    """Run the block of the page on extensions that defines a class, and return the class."""
    page = (REPOSITORY / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (block,) = (block for block in blocks if re.search(rf"^class {name}\b", block, re.MULTILINE))
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  the documentation's own code
    return names[name]


def test_the_generator_of_the_page_makes_noise() -> None:
    rows = torch.arange(2)
    fake = example("Gain")(box=16).generate(torch.zeros(2, 1, 16, 16), seed=1, identity=rows, draw=0 * rows)
    assert 0.8 < fake.std() < 1.2


def test_the_measure_of_the_page_passes_the_oracle(honest: Case) -> None:
    finding = example("PowerMeasure")()(honest)
    assert [answer.verdict for answer in finding.answers.values()] == [Verdict.PASS]


def test_the_hypothesis_of_the_page_is_the_one_there_is() -> None:
    written = example("Contrast")
    assert (written.name, written.family, written.remedy) == (Contrast.name, Contrast.family, Contrast.remedy)
    assert written.line == Contrast.line


def test_there_are_commands_in_the_documentation() -> None:
    assert {name for page in PAGES for name, _ in commands(page)} == set(COMMANDS)
