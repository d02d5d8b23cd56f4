"""Mutations of files with a header or a structure of their own: MRC, CryoSPARC's tables, checkpoints."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from mrcfile.dtypes import HEADER_DTYPE

from tests.fuzz.mutations import BYTES, VALUES, Mutation, pick

NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-30, 0.5, 1e5)
FIELDS = (
    "nx", "ny", "nz", "mode", "nxstart", "nystart", "nzstart", "mx", "my", "mz", "cella", "cellb", "mapc",
    "mapr", "maps", "ispg", "nsymbt", "map", "machst", "dmin", "exttyp", "nversion",
)  # fmt: skip


def mrc_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a field of the header to what it may or must not be."""
    header = np.frombuffer(content[: HEADER_DTYPE.itemsize], HEADER_DTYPE.newbyteorder("<")).copy()
    for name in rng.choice(FIELDS, size=int(rng.integers(1, 4)), replace=False):
        field = header[str(name)]
        if field.dtype.kind == "i":
            header[name] = pick(rng, (0, 1, 2, 3, 6, 12, 32, 1024, -1, 2**15, 2**24, 2**31 - 1, -(2**31)))
        elif field.dtype.names:
            for axis in field.dtype.names[: 3 if rng.random() < 0.5 else 1]:
                header[name][axis] = pick(rng, NUMBERS)
        else:
            header[name] = np.frombuffer(rng.bytes(field.nbytes), field.dtype).reshape(field.shape)
    with np.errstate(all="ignore"):
        return header.tobytes() + content[HEADER_DTYPE.itemsize :]


def cs_table(rng: np.random.Generator, content: bytes) -> bytes:
    """Change type, shape, values or name of a column, or leave it out."""
    table = np.load(io.BytesIO(content), allow_pickle=False)
    chosen = pick(rng, table.dtype.names)
    columns = {name: table[name] for name in table.dtype.names}
    kind, values = rng.random(), columns[chosen]
    if kind < 0.2:
        del columns[chosen]
    elif kind < 0.6:
        made = values.astype(values.dtype if values.dtype.kind in "SU" else np.float64)
        row = slice(None) if rng.random() < 0.3 else int(rng.integers(len(made)))
        made[row] = (
            pick(rng, (b"", b"\xff\xfe", b"a\x00b", b">", b"../x"))
            if made.dtype.kind == "S"
            else pick(rng, NUMBERS)
        )
        with np.errstate(all="ignore"):
            columns[chosen] = made.astype(values.dtype)
    else:
        columns[chosen] = pick(rng, _columns(len(values)))
    if rng.random() < 0.1:
        columns = {
            (pick(rng, ("", "x", "uid ", "\u00e9")) if name == chosen else name): c
            for name, c in columns.items()
        }
    made = np.empty(len(table), dtype=[(name, c.dtype, c.shape[1:]) for name, c in columns.items()])
    for name, column in columns.items():
        made[name or made.dtype.names[list(columns).index(name)]] = column
    return _saved(made)


def _columns(count: int) -> tuple[np.ndarray, ...]:
    """Return columns of types and shapes that another program may write."""
    return (
        np.full(count, b"text"), np.full(count, "text"), np.full((count, 3), 0.5),
        np.full((count, 2, 2), 1, np.int8), np.full(count, True), np.full(count, 1j),
        np.array(["2026-01-01"] * count, "datetime64[D]"),
        np.zeros((count, 0)), np.full(count, 2**64 - 1, np.uint64), np.zeros(count, "V4"),
        np.full(count, 1e30, ">f8"), np.full(count, 0.1, np.float16), np.full(count, -1, np.int64),
        np.full(count, np.nan, np.float32), np.array([{}] * count),
    )  # fmt: skip


def cs_shape(rng: np.random.Generator, content: bytes) -> bytes:
    """Save no table, or none of one dimension."""
    return _saved(
        pick(rng, (np.zeros(3), np.zeros((2, 2)), np.array(1), np.zeros(0, [("uid", "u8")]), np.array([{}])))
    )


def npy_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a few characters of the description of a table."""
    end = content.find(b"\n") if content.startswith(b"\x93NUMPY") else len(content)
    head = bytearray(content[10:end])
    for _ in range(int(rng.integers(1, 4)) if head else 0):
        head[int(rng.integers(len(head)))] = pick(rng, b"()[]{}'\",:0123456789<>|fuiSVOM= \\\n\x00\xff")
    return content[:10] + bytes(head) + content[end:]


def _saved(array: np.ndarray) -> bytes:
    place = io.BytesIO()
    np.save(place, array, allow_pickle=True)
    return place.getvalue()


def checkpoint_tree(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a value of a checkpoint, also by a tensor of another shape or type."""
    tree = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    node: Any = tree
    while isinstance(node, dict | list) and len(node):
        key = pick(rng, list(node) if isinstance(node, dict) else range(len(node)))
        inner = node[key]
        if not isinstance(inner, dict | list) or not len(inner) or rng.random() < 0.25:
            if rng.random() < 0.2:
                del node[key]
            elif rng.random() < 0.4:
                node[key] = pick(
                    rng,
                    (
                        torch.zeros(3),
                        torch.zeros(0),
                        torch.full((2, 2), torch.nan),
                        torch.tensor(2, dtype=torch.int64),
                        torch.tensor(1j),
                    ),
                )
            else:
                node[key] = pick(rng, VALUES)
            break
        node = inner
    place = io.BytesIO()
    torch.save(tree, place)
    return place.getvalue()


MRC: tuple[Mutation, ...] = (*(4 * (mrc_header,)), *BYTES)
CS: tuple[Mutation, ...] = (*(6 * (cs_table,)), cs_shape, npy_header, npy_header, npy_header, *BYTES)
CHECKPOINT: tuple[Mutation, ...] = (*(3 * (checkpoint_tree,)), *BYTES)
