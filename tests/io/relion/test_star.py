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


# line: its values, which are those that RELION 3.1.3 reads
LINES = {
    "o'brien/a.mrcs mic#1.mrc": ["o'brien/a.mrcs", "mic#1.mrc"],
    "a\"b 'mic 2.mrc'": ['a"b', "mic 2.mrc"],
    "'it's' \"it's a mic\"": ["it's", "it's a mic"],
    "'#mic' a#b # a remark": ["#mic", "a#b"],
    "a 1 #a remark's end": ["a", "1"],
    "\"\" ''": ["", ""],
    "data_1/a.mrc loop_": ["data_1/a.mrc", "loop_"],
    "loop_/a.mrc ;b": ["loop_/a.mrc", ";b"],
    "a' b'": ["a'", "b'"],
}


@pytest.mark.parametrize("line", LINES)
def test_quotes_and_hashes(tmp_path: Path, line: str) -> None:
    table = _read(tmp_path / "a.star", f"{HEADER}1 2\n{line}\n{line}\n")["particles"]
    assert table.to_numpy().tolist() == [["1", "2"], LINES[line], LINES[line]]


def test_comments_and_blank_lines_anywhere(tmp_path: Path) -> None:
    text = "# a\n  data_particles # b\n\nloop_\n# c\n_rlnA #1\n  # _rlnC #2\n\n_rlnB\n#d\n1 2\n# e\n3 4\n"
    tables = _read(tmp_path / "a.star", f"data_empty\n\n{text}")
    assert list(tables) == ["particles"]
    assert tables["particles"].to_dict("list") == {"rlnA": ["1", "3"], "rlnB": ["2", "4"]}


def test_a_table_without_rows(tmp_path: Path) -> None:
    assert _read(tmp_path / "a.star", HEADER)["particles"].shape == (0, 2)


@pytest.mark.parametrize(
    ("rows", "row", "found"),
    [
        ("1 2\n3\n", 2, "1 values"),
        ("1 2\n3 4\n5 6 7\n", 3, "3 values"),
        ("1 2 3\n4 5 6\n", 1, "3 values"),
        ("1\n2\n", 1, "1 values"),
        ("1 2\n\n3 #y\n", 2, "1 values"),
        ("1 2\n'a'b 4\n", 2, "No closing quotation"),
        ('1 2\n"a b 4\n', 2, "No closing quotation"),
    ],
)
def test_ragged_rows(tmp_path: Path, rows: str, row: int, found: str) -> None:
    with pytest.raises(InputError, match=r"does not fit its 2 columns") as caught:
        _read(tmp_path / "a.star", HEADER + rows)
    assert caught.value.row == row
    assert found in str(caught.value.found)


@pytest.mark.parametrize("first", ["data_general\n_rlnX 7\n", "# a remark\ndata_general\n_rlnX 7\n"])
def test_the_mark_of_windows_editors(tmp_path: Path, first: str) -> None:
    (tmp_path / "a.star").write_text(first + HEADER + "1 2\n", encoding="utf-8-sig")
    tables = read_star(tmp_path / "a.star")
    assert tables["general"]["rlnX"].tolist() == ["7"]
    assert tables["particles"]["rlnB"].tolist() == ["2"]


@pytest.mark.parametrize("letter", "\u00a0\u0085\u2028\u3000é")
def test_only_blanks_and_line_ends_of_ascii_count(tmp_path: Path, letter: str) -> None:
    """As for RELION, which knows no others."""
    names = [f"mic{letter}1.mrc", f"{letter}a", f"a{letter}"]
    rows = f"{names[0]} 1\n{names[1]}\t2\r\n {names[2]}\v3\n'{names[0]} x' 4\n"
    table = _read(tmp_path / "a.star", HEADER + rows)["particles"]
    assert table["rlnA"].tolist() == [*names, f"{names[0]} x"]
    assert table["rlnB"].tolist() == list("1234")
    if len(f"a{letter}b".splitlines()) > 1:  # starfile would cut the row there
        with pytest.raises(InputError, match="rlnA cannot be written into a STAR file"):
            _read_back(tmp_path / "b.star", table)
        assert not (tmp_path / "b.star").exists()
    else:
        assert _read_back(tmp_path / "b.star", table) == table["rlnA"].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (HEADER.encode() + b"1 2\na\x1fb 2\n", r"control character(.|\n)*x1f' in line 7"),
        (HEADER.encode() + b"1 2\n'a\tb' 2\n", r"row 2: a row(.|\n)*a control character within quotes"),
        (b"loop_\n_rlnA\n1\n" + HEADER.encode() + b"1 2\n", "a table without a name"),
        (b"  \n\n", "empty"),
        (b"the quick brown fox\n", r"not a STAR file(.|\n)*data_"),
        (np.zeros(300, np.float32).tobytes(), r"not a STAR file(.|\n)*binary"),
        (bytes(range(128, 256)) * 40, r"not a STAR file(.|\n)*UTF-8"),
        (b"data_particles\n\nloop_\n_rlnA\n_rlnB\n_rlnA\n1 2 3\n", "names rlnA twice"),
        (b"data_a\n\nloop_\n_rlnA\n1\n\ndata_a\n\nloop_\n_rlnA\n1\n", "two tables data_a"),
        (b"data_a\n", "cannot be read"),
        (b"data_a\n_rlnA\n", "rlnA of table data_a cannot be read"),
        (b"data_a\n_rlnA 1 2\n", "rlnA of table data_a cannot be read"),
        (b"data_a\n_rlnA '1\n", "rlnA of table data_a cannot be read"),
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


def _read_back(path: Path, table: pd.DataFrame) -> list[str]:
    write_star(path, {"x": table})
    back = read_star(path)["x"]
    assert back["rlnB"].tolist() == table["rlnB"].tolist()
    names: list[str] = back["rlnA"].tolist()
    return names


def test_written_tables_come_back(tmp_path: Path) -> None:
    names = ["a b", "0012", "#a", "'a'", '"a', "_a", "o'brien", "", "it's a", 'a" b', 'a\' "b"']
    assert _read_back(tmp_path / "b.star", pd.DataFrame({"rlnA": names, "rlnB": names[::-1]})) == names
    (tmp_path / "b.star").unlink()
    table = pd.DataFrame(
        {"rlnA": ["a b", "0012"], "rlnB": [1.23456789e-9, np.nan], "rlnC": [21186.804688, -1e5]}
    )
    write_star(tmp_path / "a.star", {"x": table})
    back = read_star(tmp_path / "a.star")["x"]
    assert back["rlnA"].tolist() == ["a b", "0012"]
    np.testing.assert_array_equal(back["rlnB"].astype(float), table["rlnB"])
    np.testing.assert_array_equal(back["rlnC"].astype(float), table["rlnC"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.star"]


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    """Nothing of the time in it: the same content makes the same bytes, whenever it is written."""
    table = pd.DataFrame({"rlnImageName": ["1@a.mrcs", "with blank"], "rlnDefocusU": [1e-7, 12345.678]})
    write_star(tmp_path / "a.star", {"particles": table})
    assert (tmp_path / "a.star").read_bytes() == (
        b"# Written by cryoalign\n\n\ndata_particles\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n"
        b'1@a.mrcs\t1e-07\n"with blank"\t12345.678\n\n\n'
    )
    assert read_star(tmp_path / "a.star")["particles"]["rlnDefocusU"].tolist() == ["1e-07", "12345.678"]


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", "a\x1fb", "a\" b' c"])
def test_what_no_star_file_can_hold_is_not_written(tmp_path: Path, cell: str) -> None:
    with pytest.raises(InputError, match="row 2: rlnA cannot be written into a STAR file") as caught:
        write_star(tmp_path / "a.star", {"x": pd.DataFrame({"rlnA": ["a", cell], "rlnB": [1, 2]})})
    assert str(caught.value).isascii()
    assert not list(tmp_path.iterdir())
