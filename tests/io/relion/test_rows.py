"""Some rows of a large STAR file are what the whole file says of them, or are not read alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.io.identity import identities, simulated_identities
from cryoalign.io.metadata import read_particles, read_rows
from cryoalign.io.relion import rows
from tests.simulate.commanded import STAR

if TYPE_CHECKING:
    from pathlib import Path

HEAD = STAR.split("000003@", maxsplit=1)[0].replace(" 0 1.0 ", " 2.7 0.1 ")
COUNT = 40


def line(row: int, name: str = "") -> str:
    """A row; its first letters are blanks, as RELION aligns numbers."""
    name = name or f"{row + 1:06d}@gone/a{row % 3}.mrcs"
    return (
        f" {name}\ta{row % 3}.mrc {row} {row * 2}  {row / 7:.3f} 0 0 {9000 + row} 9000 30 7 {row % 2 + 1} \n"
    )


ROWS = [line(row) for row in range(COUNT)]
TAIL = "\n\n# a remark\ndata_simulation\nloop_\n_cryoalignParameter\n_cryoalignValue\nseed 'a b'\n"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK", 300)  # some rows each, the last one cut off


@pytest.mark.parametrize("tail", ["", "\n", " \n\n", TAIL, "data_other\n_a 1\n"])
def test_rows_are_those_of_the_whole_file(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "a.star"
    path.write_text(HEAD + "".join(ROWS) + tail)
    whole = read_particles(path)
    for first, last in ((0, 3), (17, 25), (38, 40), (0, COUNT)):
        found = read_rows(path, lambda count, part=slice(first, last): part if count == COUNT else slice(0))
        assert found is not None
        some, count = found
        assert count == COUNT
        expected = whole.take(np.arange(first, last))
        for name in (
            "row",
            "stack",
            "slot",
            "micrograph",
            "angles",
            "shift",
            "defocus",
            "half",
            "optics_index",
        ):
            np.testing.assert_array_equal(getattr(some, name), getattr(expected, name))
        assert some.optics == whole.optics
        assert some.table.astype("str").equals(expected.table.astype("str"))


def test_rows_that_repeat_others_keep_their_numbers(tmp_path: Path) -> None:
    """The same image in the same pose, near and far, its number written in other digits."""
    path = tmp_path / "a.star"
    lines = [*ROWS]
    lines[30], lines[35], lines[36] = (
        ROWS[2],
        ROWS[2].replace("000003@", "3@"),
        line(36, "000003@gone/a2.mrcs"),
    )
    path.write_text(HEAD + "".join(lines))
    found = read_rows(path, lambda _: slice(34, 38))
    assert found is not None
    some = found[0]
    assert (some.row - 1).tolist() == [2, 30, 34, 35, 36, 37]
    whole = read_particles(path)
    np.testing.assert_array_equal(identities(some, "map"), identities(whole, "map")[some.row - 1])
    who = simulated_identities(some, "map")
    np.testing.assert_array_equal(who(some.take([3])), identities(whole, "map")[[35]])


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROWS[0] + "'" + ROWS[1].strip().replace("\t", "'\t", 1) + "\n" + "".join(ROWS[2:]),
        HEAD + ROWS[0] + "\n" + "".join(ROWS[1:]),  # a blank line among the rows
        HEAD + ROWS[0] + "# a remark\n" + "".join(ROWS[1:]),
        HEAD + ROWS[0].rstrip() + " # a remark\n" + "".join(ROWS[1:]),
        (HEAD + "".join(ROWS)).replace("\n", "\r\n"),
        "\ufeff" + HEAD + "".join(ROWS),
        HEAD + "".join(ROWS).replace("gone/a1", "ä"),
        HEAD + "".join(ROWS).rstrip(),  # no line end
        HEAD + "".join(ROWS).replace("000003@gone/", ""),  # an image without a number
        HEAD.replace("data_particles", "data_images") + "".join(ROWS),
        HEAD[HEAD.index("data_particles") :] + "".join(ROWS),  # no optics groups
        HEAD + "".join(ROWS) + TAIL.replace("data_simulation", "data_particles"),
        HEAD + "".join([*ROWS[:5], ROWS[5].replace("30 7", "30"), *ROWS[6:]]),  # a value is missing
        HEAD.replace("rlnClassNumber", "rlnParticleName") + "".join(ROWS),
        HEAD,
        "",
        "binary\0",
    ],
)
def test_what_is_not_plain_is_read_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.star").write_text(text, newline="")
    assert read_rows(tmp_path / "a.star", lambda _: slice(3, 5)) is None


def test_a_row_that_begins_like_a_table_is_a_row(tmp_path: Path) -> None:
    labels = HEAD.replace(
        "_rlnImageName #1\n_rlnMicrographName #2", "_rlnMicrographName #1\n_rlnImageName #2"
    )
    lines = [
        f"data_{row} {row + 1:06d}@a.mrcs {' '.join(text.split()[2:])}\n" for row, text in enumerate(ROWS)
    ]
    (tmp_path / "a.star").write_text(labels + "".join(lines))
    found = read_rows(tmp_path / "a.star", lambda _: slice(3, 5))
    assert found is not None
    assert (found[1], found[0].micrograph.tolist()) == (COUNT, ["data_3", "data_4"])


def test_a_row_that_is_refused_is_said_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text(HEAD + "".join(ROWS).replace("9020", "nan"))
    assert read_rows(tmp_path / "a.star", lambda _: slice(18, 22)) is None
    assert read_rows(tmp_path / "a.star", lambda _: slice(3, 5)) is not None
    assert read_rows(tmp_path / "gone.star", lambda _: slice(3, 5)) is None
