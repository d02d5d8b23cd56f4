"""Stacks of float16: half the disk where nothing is lost, and refused where something is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.half_precision import checked_precision
from cryoalign.io.mrc import MrcStack, StackWriter

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.random.default_rng(0).normal(0.3, 2.0, size=(5, 32, 32)).astype(np.float32)


def write(path: Path, images: np.ndarray, *, order: np.ndarray | None = None) -> None:
    with StackWriter(path, len(images), images.shape[-1], 2.0, order=order, dtype="float16") as writer:
        for start in range(0, len(images), 2):
            writer.write(images[start : start + 2])


def test_half_the_disk_and_a_hundredth_of_a_percent(tmp_path: Path) -> None:
    order = np.array([4, 2, 0, 1, 3])
    write(tmp_path / "a.mrcs", IMAGES[order], order=order)
    assert (tmp_path / "a.mrcs").stat().st_size == 1024 + IMAGES.size * 2
    with mrcfile.open(tmp_path / "a.mrcs") as stack:
        assert int(stack.header.mode) == 12
        assert stack.data.dtype == np.float16
        np.testing.assert_array_equal(stack.data, IMAGES.astype(np.float16))
        rounded = stack.data.astype(np.float64)
        assert float(stack.header.rms) == pytest.approx(rounded.std())
        assert (float(stack.header.dmin), float(stack.header.dmax)) == (rounded.min(), rounded.max())
    assert mrcfile.validate(str(tmp_path / "a.mrcs"))
    np.testing.assert_allclose(MrcStack(tmp_path / "a.mrcs").read(3), IMAGES[3], atol=4e-3)


def test_a_constant_image_may_be_rounded(tmp_path: Path) -> None:
    write(tmp_path / "a.mrcs", np.full((1, 4, 4), 1 / 3, dtype=np.float32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images: images * 4e4, "values up to"),  # overflow
        (lambda images: images + 100, r"rounding of 0\.0"),  # few bits are left of the standard deviation
        (lambda images: images * 1e-7, r"rounding of 0\."),  # below the smallest number
    ],
)
def test_what_would_be_lost_is_refused(tmp_path: Path, change: object, said: str) -> None:
    images = IMAGES.copy()
    images[3] = change(images[3])  # type: ignore[operator]
    with pytest.raises(
        InputError, match=rf"does not fit into float16(.|\n)*{said}(.|\n)*image 4(.|\n)*dtype"
    ):
        write(tmp_path / "a.mrcs", images)
    assert list(tmp_path.iterdir()) == []


def test_a_choice_is_checked(caplog: pytest.LogCaptureFixture) -> None:
    assert checked_precision("float32") == "float32"
    assert not caplog.text
    assert checked_precision("float16") == "float16"
    assert "RELION 3 cannot" in caplog.text
    with pytest.raises(InputError, match="unknown choice for dtype"):
        checked_precision("float64")  # type: ignore[arg-type]
