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

from cryoalign.cli import CONF_DIR
from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
COMMANDS = ("simulate", "audit", "train", "evaluate", "export", "report")


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """List the commands of a page's code blocks: their names and arguments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for block in text.split("```")[1::2] for line in block.splitlines()[1:]]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("cryoalign ")]
    known = [word for word in words if word[1] in COMMANDS and "--config-dir" not in word]
    return [(word[1], word[2:]) for word in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for name, arguments in commands(page):
        keys = [argument for argument in arguments if "=" in argument and argument != "..."]
        if "-m" in arguments:  # a sweep: the first of its values
            keys = [
                key if key.partition("=")[2].startswith(("{", "[")) else key.partition(",")[0] for key in keys
            ]
        GlobalHydra.instance().clear()
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            assert compose(name, keys)


def test_examples_of_extensions_are_true() -> None:
    Hypothesis = pytest.importorskip("cryoalign.audit.hypotheses.hypothesis").Hypothesis
    pytest.importorskip("cryoalign.models.generator")
    page = (REPOSITORY / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102  the documentation's own code
    noise = {"seed": 1, "index": torch.arange(2), "draw": torch.zeros(2, dtype=torch.int64)}
    fake = names["Gain"](box=16).generate(torch.zeros(2, 1, 16, 16), **noise)
    assert 0.8 < fake.std() < 1.2
    assert issubclass(names["Contrast"], Hypothesis)


def test_there_are_commands_in_the_documentation() -> None:
    assert {name for page in PAGES for name, _ in commands(page)} == set(COMMANDS)
