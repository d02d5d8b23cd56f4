"""Metadata are known by all of their content, stacks by samples of it unless asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 3_000_000
BETWEEN = 10_000  # between the first two of 64 blocks of 4 KiB


@pytest.mark.parametrize(
    ("name", "whole", "seen"),
    [("a.star", False, True), ("a.cs", False, True), ("a.mrcs", False, False), ("a.mrc", True, True)],
)
def test_a_byte_between_the_sampled_blocks(tmp_path: Path, name: str, whole: bool, seen: bool) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(SIZE))
    before = fingerprint([path], whole=whole)
    with path.open("r+b") as file:
        file.seek(BETWEEN)
        file.write(b"1")
    assert (fingerprint([path], whole=whole) != before) == seen
    path.write_bytes(b"1" + bytes(SIZE - 1))
    assert fingerprint([path], whole=whole) != before


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        fingerprint([tmp_path / "gone.star"])
