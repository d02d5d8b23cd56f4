"""The progress bar changes nothing of what it passes on, and stays off standard output."""

from __future__ import annotations

import pytest

from cryoalign.io.progress import progress_bar


def test_it_is_drawn_on_standard_error_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(iter(range(3)), "counting", shown=True, total=3)) == [0, 1, 2]
    out, err = capfd.readouterr()
    assert out == ""
    assert "counting" in err


def test_nothing_is_printed_where_it_is_not_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar([1, 2], "counting", shown=False)) == [1, 2]
    assert capfd.readouterr() == ("", "")
