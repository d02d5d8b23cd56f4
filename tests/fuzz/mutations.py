"""Mutations of files, each decided by a random generator alone: what damage, other programs and people do."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import yaml

Mutation = Callable[[np.random.Generator, bytes], bytes]

WORDS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e400", "1e-320", "0", "-0", "-1", "1", "0.5", "true", "null",
    "none", "2147483648", "-9223372036854775808", "18446744073709551616", "1" * 400, "", "''", '""', "'",
    '"', "[", "[1,2", "[nan,nan]", "{}", "#", "_", "@", "0@", "000001@", "99999999999999999@a.mrcs",
    "../../../etc", "\x00", "\xe9t\xe9", "\u6f22\u5b57", "a" * 5000, "data_", "loop_", "stop_",
    "${oc.env:HOME}", "~", "*", "%s%n", "1_000", "0x10", "1,5", "\u0661\u0662",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 3, 10**6, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.5, 1e308,
    float("nan"), float("inf"), float("-inf"), "", "text", "nan", "3", "a" * 5000, [], [1, 2],
    [[1], {"a": 2}], {}, {"a": 1}, {"_target_": "os.system"}, {"": {}}, ["x"] * 50,
)  # fmt: skip


def pick(rng: np.random.Generator, choices: Any) -> Any:
    """Return one of some."""
    return choices[int(rng.integers(len(choices)))]


def _span(rng: np.random.Generator, size: int) -> slice:
    start = int(rng.integers(size + 1))
    return slice(start, min(size, start + int(rng.integers(1, 1 + max(1, size // 4)))))


# of any file


def truncate(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def flip_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(len(content), size=int(rng.integers(1, 9))) if content else ():
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def flip_at_the_start(rng: np.random.Generator, content: bytes) -> bytes:
    return flip_bytes(rng, content[:256]) + content[256:]


def cut_out(rng: np.random.Generator, content: bytes) -> bytes:
    span = _span(rng, len(content))
    return content[: span.start] + content[span.stop :]


def repeat(rng: np.random.Generator, content: bytes) -> bytes:
    span = _span(rng, len(content))
    return content[: span.stop] + content[span] + content[span.stop :]


def insert(rng: np.random.Generator, content: bytes) -> bytes:
    place = int(rng.integers(len(content) + 1))
    what = pick(
        rng, (b"\x00", b"\xff\xfe", b"\xe9", b"\r", b"\n\n", b"\t", b"\x1f", b"\xef\xbb\xbf", bytes(64))
    )
    return content[:place] + what + content[place:]


def other_encoding(rng: np.random.Generator, content: bytes) -> bytes:
    name = pick(rng, ("utf-16", "utf-8-sig", "utf-32"))
    return content.decode("latin-1").encode(name)


def append(rng: np.random.Generator, content: bytes) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 2000)))


BYTES: tuple[Mutation, ...] = (truncate, flip_bytes, flip_at_the_start, cut_out, repeat, insert, append)

# of text


def _lines(change: Callable[[np.random.Generator, list[str]], object]) -> Mutation:
    """Make a mutation of what changes a list of lines in place."""

    def mutate(rng: np.random.Generator, content: bytes) -> bytes:
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        change(rng, lines)
        return "\n".join(lines).encode("utf-8", "surrogateescape")

    return mutate


def _delete_lines(rng: np.random.Generator, lines: list[str]) -> None:
    del lines[
        _span(rng, len(lines))
        if rng.random() < 0.3
        else slice(place := int(rng.integers(len(lines))), place + 1)
    ]


def _repeat_line(rng: np.random.Generator, lines: list[str]) -> None:
    lines.insert(int(rng.integers(len(lines) + 1)), pick(rng, lines))


def _swap_lines(rng: np.random.Generator, lines: list[str]) -> None:
    one, other = rng.integers(len(lines), size=2)
    lines[one], lines[other] = lines[other], lines[one]


def _words(separator: str | None) -> Callable[[np.random.Generator, list[str]], None]:
    """Change, delete, repeat or swap words of a line, or of every line at the same place."""

    def change(rng: np.random.Generator, lines: list[str]) -> None:
        at, kind, word = int(rng.integers(1 << 16)), int(rng.integers(5)), pick(rng, WORDS)
        line = int(rng.integers(len(lines)))
        whole = rng.random() < 0.4
        for number in range(len(lines)) if whole else (line,):
            words = lines[number].split(separator)
            if len(words) < 2:
                continue
            place = at % len(words)
            if kind <= 1:
                words[place] = word
            elif kind == 2:
                del words[place]
            elif kind == 3:
                words.insert(place, words[place])
            else:
                words[place], words[place - 1] = words[place - 1], words[place]
            lines[number] = (separator or " ").join(words)

    return change


def _columns_of_pdb(rng: np.random.Generator, lines: list[str]) -> None:
    """Write over a field of fixed width."""
    atoms = [number for number, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
    if not atoms:
        return
    start, stop = pick(
        rng,
        (
            (6, 11),
            (12, 16),
            (17, 20),
            (21, 22),
            (22, 26),
            (30, 38),
            (38, 46),
            (46, 54),
            (54, 60),
            (60, 66),
            (76, 78),
        ),
    )
    word = pick(rng, WORDS)[: stop - start].rjust(stop - start)
    for number in atoms if rng.random() < 0.4 else (pick(rng, atoms),):
        lines[number] = lines[number][:start] + word + lines[number][stop:]


LINES = tuple(map(_lines, (_delete_lines, _repeat_line, _swap_lines)))
TEXT: tuple[Mutation, ...] = (
    *LINES,
    _lines(_words(None)),
    _lines(_words(None)),
    _lines(_words(None)),
    other_encoding,
)
PDB: tuple[Mutation, ...] = (*TEXT, *(3 * (_lines(_columns_of_pdb),)))
CSV: tuple[Mutation, ...] = (*LINES, *(3 * (_lines(_words(",")),)), other_encoding)

# of trees


def _change_tree(rng: np.random.Generator, tree: object) -> object:
    """Replace, remove, add or move one value anywhere in a tree."""
    places: list[tuple[Any, Any]] = []

    def walk(node: object) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            walk(value)

    walk(tree)
    if not places or rng.random() < 0.02:
        return pick(rng, VALUES)
    node, key = pick(rng, places)
    kind = rng.random()
    if kind < 0.6:
        node[key] = pick(rng, VALUES)
    elif kind < 0.75:
        del node[key]
    elif kind < 0.85 and isinstance(node, dict):
        node[pick(rng, ("new", "", "_target_", "_partial_", "_args_", "a.b", "seed", "x" * 3000))] = pick(
            rng, VALUES
        )
    elif kind < 0.95:
        other, name = pick(rng, places)
        node[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
    else:
        for _ in range(int(pick(rng, (3, 60, 3000)))):
            node[key] = [node[key]] if rng.random() < 0.5 else {"a": node[key]}
    return tree


def json_tree(rng: np.random.Generator, content: bytes) -> bytes:
    return json.dumps(_change_tree(rng, json.loads(content))).encode()


def yaml_tree(rng: np.random.Generator, content: bytes) -> bytes:
    return yaml.safe_dump(_change_tree(rng, yaml.safe_load(content))).encode()


def yaml_text(rng: np.random.Generator, content: bytes) -> bytes:
    """Add what YAML knows and no run writes."""
    lines = content.split(b"\n")
    what = pick(
        rng,
        (
            b"!!python/object/apply:os.system [true]",
            b"&a [*a]",
            b"*b",
            b"!!binary aGk=",
            b"2026-01-01",
            b"!!set {a, b}",
            b"\t- x",
            b"? [a]",
            b"<<: {seed: 2}",
            b"1: 2",
            b"null: 3",
            b"[" * 2000,
            b"0o17",
            b"1:30",
            b".inf",
            b"!!float x",
        ),
    )
    place = int(rng.integers(len(lines)))
    lines[place] = lines[place].partition(b":")[0] + b": " + what if rng.random() < 0.6 else what
    return b"\n".join(lines)


JSON: tuple[Mutation, ...] = (*(5 * (json_tree,)), *LINES, _lines(_words(None)), other_encoding)
YAML: tuple[Mutation, ...] = (*(5 * (yaml_tree,)), yaml_text, yaml_text, *LINES, _lines(_words(": ")))


def mutated(rng: np.random.Generator, content: bytes, mutations: tuple[Mutation, ...]) -> bytes:
    """Mutate a file one to three times."""
    for _ in range(int(pick(rng, (1, 1, 1, 2, 3)))):
        mutation = pick(rng, mutations if rng.random() < 0.8 else BYTES)
        with suppress(Exception):  # what was damaged before may be nothing that can be changed in this way
            content = mutation(rng, content)
    return content
