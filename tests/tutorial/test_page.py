"""The tutorial shows both programs the same steps, and keys that exist."""

from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir

from cryoalign.cli import CONF_DIR
from tests.tutorial.page import DOCS, PAGE, PROGRAMS, arguments, commands


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_reader_types_for_an_own_job_has_the_same_keys(program: str) -> None:
    shown = commands(program, for_own_job=True)
    assert len(shown) == 5
    for command in shown:
        _, name, *overrides = arguments(command)
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            compose(
                name, [entry for entry in overrides if not entry.startswith("hydra.")]
            )  # refuses unknown keys


def test_both_programs_are_shown_the_same_steps() -> None:
    steps = [[arguments(command)[1] for command in commands(program)] for program in PROGRAMS]
    assert steps[0] == steps[1]
    assert steps[0] == [
        "embedded", "simulate", "audit", "train", "train", "evaluate", "export", "evaluate", "report"
    ]  # fmt: skip


def test_the_figures_of_the_page_are_there_and_small() -> None:
    shown = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert shown
    assert all((DOCS / name).stat().st_size < 300_000 for name in shown)
