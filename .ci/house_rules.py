"""Check what the rules of the house limit: lines of code in files and functions, first words of docstrings.

Comments, docstrings and blank lines are not code. Run by ``make check`` with the folders to look at.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_LIMIT = 230
FUNCTION_LIMIT = 60
#: Docstrings begin as numpydoc's do: Return, Raise, Check.
_FIRST_WORDS = re.compile(r"(give|say|tell)s?\b", re.IGNORECASE)
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def offences(source: str) -> Iterator[str]:
    """Yield what breaks a rule in one file, each with its line."""
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, _Documented)]
    docstrings = [node.body[0] for node in documented if ast.get_docstring(node) is not None]
    lines = _lines_of_code(source, docstrings)
    if len(lines) > FILE_LIMIT:
        yield f"1: {len(lines)} lines of code in the file, at most {FILE_LIMIT}"
    for node in documented:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = len(lines & _span(node))
            if length > FUNCTION_LIMIT:
                yield f"{node.lineno}: {length} lines of code in {node.name}, at most {FUNCTION_LIMIT}"
        text = ast.get_docstring(node) or ""
        if found := _FIRST_WORDS.match(text):
            yield f"{node.body[0].lineno}: a docstring that begins with {found.group()!r}"


def _lines_of_code(source: str, docstrings: list[ast.stmt]) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines.difference(*map(_span, docstrings))


def _span(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def main(folders: list[str]) -> int:
    """Print every offence, and return the exit code."""
    found = [
        f"{path}:{offence}"
        for folder in folders
        for path in sorted(Path(folder).rglob("*.py"))
        for offence in offences(path.read_text(encoding="utf-8"))
    ]
    print("\n".join(found) or "house rules: kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
