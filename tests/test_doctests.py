"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.conftest import REPOSITORY

#: Modules that hold an example that is run, by name.
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in (REPOSITORY / "cryoalign").rglob("*.py")
    if any(">>> " in line and "+SKIP" not in line for line in path.read_text(encoding="utf-8").splitlines())
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert not doctest.testmod(importlib.import_module(name), verbose=False).failed


def test_there_are_ten() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    run = [test for test in found if any(doctest.SKIP not in example.options for example in test.examples)]
    assert len(run) >= 10
