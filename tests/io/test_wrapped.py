"""Unsigned integers read as signed ones are noticed; what is signed passes."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.mrc import MrcStack
from cryoalign.io.wrapped import refuse_wrapped

NOISE = np.random.default_rng(0).normal(size=(4, 32, 32))


def as_signed(spread: float, middle: float, kind: str) -> np.ndarray:
    info = np.iinfo(kind)
    values = np.clip(middle + spread * NOISE, info.min, info.max).astype(kind)
    return values.view(kind.replace("u", ""))


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (as_signed(20, 128, "uint8"), "add 256"),
        (as_signed(60, 120, "uint8"), "add 256"),
        (as_signed(4000, 32000, "uint16"), "mode 6"),
    ],
)
def test_unsigned_values_called_signed(values: np.ndarray, remedy: str) -> None:
    with pytest.raises(InputError, match="stored as signed") as refusal:
        refuse_wrapped(Path("a.mrcs"), values)
    assert remedy in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        as_signed(20, 0, "int8"),
        as_signed(300, 0, "int8"),
        as_signed(20, 60, "uint8"),
        as_signed(8000, 12000, "int16"),
        as_signed(20, 128, "uint8").view(np.uint8),
        np.arange(-128, 128).astype(np.int8),
        np.full(10, 127, np.int8),
        NOISE,
    ],
)
def test_what_is_right_passes(values: np.ndarray) -> None:
    """Also clipped, of an offset, evenly spread, and of other kinds."""
    refuse_wrapped(Path("a.mrcs"), values)


def test_a_stack_is_looked_at_on_its_first_read(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(as_signed(20, 128, "uint8"))
        file.set_image_stack()
    with pytest.raises(InputError, match="stored as signed"):
        MrcStack(tmp_path / "a.mrcs").read(0)
