"""What is refused most often: a choice, a number, a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cryoalign.errors import InputError, choice, existing, within


def test_a_choice() -> None:
    assert choice("norm", "batch", ("batch", "none")) == "batch"
    with pytest.raises(InputError, match=r"unknown choice for norm\n  expected: a, b or c\n  found: d"):
        choice("norm", "d", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (-1, {"least": 0}, "0 or more"),
        (math.nan, {"least": 0}, "0 or more"),
        (9, {"least": 1, "most": 8}, "1 to 8"),
        (0.0, {"above": 0, "most": 1}, "above 0 and up to 1"),
        (1.0, {"least": 0, "below": 1}, "at least 0 and less than 1"),
        (1.5, {"least": 1, "whole": True}, "a whole number, 1 or more"),
        (True, {"least": 0}, "0 or more"),
        ("3", {"least": 0, "unit": "px"}, "0 px or more"),
        (0.1, {"least": 0.25}, "0.25 or more"),
    ],
)
def test_a_range(value: Any, limits: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=rf"box is out of range\n  expected: {expected}\n"):
        within("box", value, **limits)


def test_no_refusal_is_without_a_remedy() -> None:
    with pytest.raises(TypeError, match="remedy"):
        InputError("the box is too small")  # type: ignore[call-overload]
    for refuse in (lambda: choice("norm", "d", ("a", "b")), lambda: within("shards", 0, 1, whole=True)):
        with pytest.raises(InputError) as refused:
            refuse()
        assert refused.value.remedy


def test_a_number_in_its_range() -> None:
    assert within("box", 2**32 - 1, 0, 2**32 - 1, whole=True) == 2**32 - 1
    assert within("mtf", 1, above=0, most=1) == 1


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.star"
    with pytest.raises(InputError, match=r"a\.star: there is no such file\n  expected: a STAR file"):
        existing(file, "a STAR file")
    file.write_text("")
    assert existing(file, "a STAR file") == file
    with pytest.raises(InputError, match="this is not a file"):
        existing(tmp_path, "a STAR file")
