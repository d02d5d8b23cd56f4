"""STAR files that cannot be trusted are refused with the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from cryoalign.errors import InputError
from cryoalign.io.relion.star import read_star, write_star

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "data_particles\n\nloop_\n_rlnA #1\n_rlnB #2 [a comment]\n"


def _read(path: Path, text: str) -> dict[str, pd.DataFrame]:
    path.write_text(text)
    return read_star(path)


def test_cells_stay_as_they_are(tmp_path: Path) -> None:
    general = "# version 30001\n\ndata_general\n\n_rlnX 007\n\n"
    rows = '0012   nan\r\n"a b" 1e-3\n\n# a remark\n\nnan\tNone\n'
    tables = _read(tmp_path / "a.star", general + HEADER + rows)
    assert list(tables) == ["general", "particles"]
    assert tables["general"]["rlnX"].tolist() == ["007"]
    assert tables["particles"]["rlnA"].tolist() == ["0012", "a b", "nan"]
    assert tables["particles"]["rlnB"].tolist() == ["nan", "1e-3", "None"]


def test_column_without_any_number(tmp_path: Path) -> None:
    assert _read(tmp_path / "a.star", HEADER + "nan 1\nnan 2\n")["particles"]["rlnA"].tolist() == [
        "nan",
        "nan",
    ]


@pytest.mark.parametrize(
    ("rows", "row", "found"),
    [
        ("1 2\n3\n", 2, "1 values"),
        ("1 2\n3 4\n5 6 7\n", 3, "3 values"),
        ("1 2 3\n4 5 6\n", 1, "3 values"),
        ("1\n2\n", 1, "1 values"),
        ("1 2\n\n3 x#y\n", 2, "comment"),
        ("1 2\ndata_1/a.mrc 4\n", 2, "starts like a table"),
        ('1 2\n"a b 4\n', 2, "No closing quotation"),
    ],
)
def test_ragged_rows(tmp_path: Path, rows: str, row: int, found: str) -> None:
    with pytest.raises(InputError, match=r"does not fit its 2 columns") as caught:
        _read(tmp_path / "a.star", HEADER + rows)
    assert caught.value.row == row
    assert found in str(caught.value.found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"  \n\n", "empty"),
        (b"the quick brown fox\n", r"not a STAR file(.|\n)*data_"),
        (np.zeros(300, np.float32).tobytes(), r"not a STAR file(.|\n)*binary"),
        (bytes(range(128, 256)) * 40, r"not a STAR file(.|\n)*UTF-8"),
        (b"data_particles\n\nloop_\n_rlnA\n_rlnB\n_rlnA\n1 2 3\n", "names rlnA twice"),
        (b"data_a\n\nloop_\n_rlnA\n1\n\ndata_a\n\nloop_\n_rlnA\n1\n", "two tables data_a"),
        (b"data_a\n", "cannot be read"),
    ],
)
def test_not_a_star_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.star"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_star(path)
    assert caught.value.file == path


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_star(tmp_path / "none.star")
    with pytest.raises(InputError, match="found: a folder"):
        read_star(tmp_path)


def test_a_corrected_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    with pytest.raises(InputError):
        _read(path, "data_a\n")
    assert _read(path, HEADER + "1 2\n")["particles"]["rlnB"].tolist() == ["2"]


def test_written_tables_come_back(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"rlnA": ["a b", "0012"], "rlnB": [1.23456789e-9, np.nan], "rlnC": [21186.804688, -1e5]}
    )
    write_star(tmp_path / "a.star", {"x": table})
    back = read_star(tmp_path / "a.star")["x"]
    assert back["rlnA"].tolist() == ["a b", "0012"]
    np.testing.assert_array_equal(back["rlnB"].astype(float), table["rlnB"])
    np.testing.assert_array_equal(back["rlnC"].astype(float), table["rlnC"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.star"]
