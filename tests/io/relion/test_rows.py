"""Some rows of a large STAR file are what the whole file says of them, or are not read alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.io.identity import identities, simulated_identities
from cryoalign.io.metadata import read_particles, read_rows
from cryoalign.io.relion import rows
from cryoalign.io.simulated import without_particle
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
        found = read_rows(path, lambda every, part=slice(first, last): part if len(every) == COUNT else None)
        assert found is not None
        some = found.particles
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
    some = found.particles
    assert (some.row - 1).tolist() == [2, 30, 34, 35, 36, 37]
    whole = read_particles(path)
    np.testing.assert_array_equal(identities(some, "map"), identities(whole, "map")[some.row - 1])
    who = simulated_identities(some, "map")
    np.testing.assert_array_equal(who(some.take([3])), identities(whole, "map")[[35]])


NAMED = HEAD.replace("_rlnMicrographName", "_rlnParticleName")
UIDS = [f"simulated_{row:016x}" for row in range(COUNT)]


def of_uids(uids: list[str], classes: str = "") -> list[str]:
    """Rows of simulated particles: each ninth shows none."""
    cells = [text.split() for text in ROWS]
    numbers = classes.split() or [str(row % 9) for row in range(COUNT)]
    return [
        f"{' '.join([own[0], uid, *own[2:11], number])}\n"
        for own, uid, number in zip(cells, uids, numbers, strict=True)
    ]


def test_sims_are_known_by_their_uids(tmp_path: Path) -> None:
    """Rows of one uid, whatever images they name; which rows show no particle; every stack."""
    path = tmp_path / "a.star"
    uids = [*UIDS]
    uids[30] = UIDS[5]
    path.write_text(NAMED + "".join(of_uids(uids)) + TAIL)
    assert read_rows(path, lambda _: slice(4, 6)) is None  # not asked of sims
    found = read_rows(path, lambda empty: np.flatnonzero(empty)[:1] + 5, of_sims=True)
    assert found is not None
    whole = read_particles(path)
    assert (found.particles.row - 1).tolist() == [5, 30]
    np.testing.assert_array_equal(identities(found.particles), identities(whole)[[5, 30]])
    assert found.empty.tolist() == without_particle(whole).tolist()
    assert found.empty.sum() == 5
    assert found.stacks == {f"gone/a{number}.mrcs": number + 1 for number in range(3)}


def test_sims_are_known_by_the_raw_images(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    lines = [text.replace(f"\ta{row % 3}.mrc", f"\t{row % 20 + 1}@raw.mrc") for row, text in enumerate(ROWS)]
    path.write_text(HEAD.replace("rlnMicrographName", "rlnImageOriginalName") + "".join(lines))
    found = read_rows(path, lambda _: slice(7, 9), of_sims=True)
    assert found is not None
    assert (found.particles.row - 1).tolist() == [7, 8, 27, 28]
    assert not found.empty.any()


@pytest.mark.parametrize(
    "lines",
    [
        of_uids([*UIDS[:-1], "simulated_0"]),
        of_uids([*UIDS[:-1], "simulated_00000000000000eg"]),
        of_uids([*UIDS[:-1], "measured__00000000000000ee"]),
        of_uids(UIDS, " ".join(["0", *["1.5"] * (COUNT - 1)])),
        [text.replace("000009@", "") for text in of_uids(UIDS)],
    ],
)
def test_sims_that_are_not_plain_are_read_whole(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "a.star").write_text(NAMED + "".join(lines))
    assert read_rows(tmp_path / "a.star", lambda _: slice(3, 5), of_sims=True) is None


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
    assert (len(found.empty), found.particles.micrograph.tolist()) == (COUNT, ["data_3", "data_4"])


def test_a_row_that_is_refused_is_said_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.star").write_text(HEAD + "".join(ROWS).replace("9020", "nan"))
    assert read_rows(tmp_path / "a.star", lambda _: slice(18, 22)) is None
    assert read_rows(tmp_path / "a.star", lambda _: slice(3, 5)) is not None
    assert read_rows(tmp_path / "gone.star", lambda _: slice(3, 5)) is None
