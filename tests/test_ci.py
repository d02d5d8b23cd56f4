"""The scripts of .ci/ find what they look for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY


def script(name: str) -> ModuleType:
    """Load a script of .ci/."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://elsewhere.org/a.js"></script>', True),
        ('<img src="//elsewhere.org/a.png">', True),
        ('<link rel="stylesheet" href="https://elsewhere.org/a.css">', True),
        ('<link rel="preconnect" href="https://elsewhere.org">', True),
        ("<style>@import url('https://elsewhere.org/a.css');</style>", True),
        ('<p style="background: url(https://elsewhere.org/a.png)">', True),
        ('<pre class="mermaid"></pre>', True),
        ('<a href="https://elsewhere.org">', False),
        ('<link rel="canonical" href="https://elsewhere.org">', False),
        ('<script src="assets/a.js"></script><img src="data:image/png;base64,AA==">', False),
    ],
)
def test_what_a_page_fetches_is_found(tmp_path: Path, html: str, found: bool) -> None:
    (tmp_path / "page.html").write_text(html)
    assert bool(script("no_requests").requests(tmp_path)) == found


def test_what_a_style_sheet_fetches_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@font-face { src: url('https://elsewhere.org/a.woff2') }")
    assert len(script("no_requests").requests(tmp_path)) == 1


LONG = "".join(f"    a = {number}\n" for number in range(59))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a = 1\n" * 230, []),
        ("a = 1\n" * 231, ["1: 231 lines of code in the file, at most 230"]),
        ('"""A docstring.\n' + "\n" * 300 + '"""\n' + "# a comment\n" * 300 + "a = 1\n" * 230, []),
        ("def f():\n" + LONG, []),
        ("\n\ndef f():\n" + LONG + "    return a\n", ["3: 61 lines of code in f, at most 60"]),
        ('def f():\n    """Give it."""\n', ["2: a docstring that begins with 'Give'"]),
        ('def f():\n    """Givens rotations."""\n', []),
    ],
)
def test_rules_of_the_house(source: str, found: list[str]) -> None:
    assert list(script("house_rules").offences(source)) == found
