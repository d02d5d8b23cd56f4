"""STAR files that are well formed, and odd: read with a word about it, or refused by column and row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.metadata import read_particles
from tests.io.relion.test_read import OPTICS, PARTICLES, SINGLE, Table, given, star

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_table_of_images_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = star(tmp_path / "two.star", more=SINGLE, optics=OPTICS, particles=PARTICLES)
    assert read_particles(path).slot.tolist() == [1, 0, 0]
    assert "only data_particles is read; data_more has the column rlnImageName, too, in 3 rows" in caplog.text


@pytest.mark.parametrize(
    ("optics", "table", "message"),
    [
        (OPTICS, given(PARTICLES, "rlnOpticsGroup", 2, "1e30"), r"row 3: rlnOpticsGroup(.|\n)*found: 1e30"),
        (OPTICS, given(PARTICLES, "rlnRandomSubset", 1, "-1e30"), r"row 2: rlnRandomSubset(.|\n)*-1e30"),
        (OPTICS, given(PARTICLES, "rlnImageName", 1, "\u0663@a.mrcs"), r"row 2: rlnImageName(.|\n)*@a.mrcs"),
        (given(OPTICS, "rlnImageSize", 1, "1e30"), PARTICLES, r"row 2: the rlnImageSize(.|\n)*found: 1e.30"),
        (given(OPTICS, "rlnImageSize", 1, "63.5"), PARTICLES, r"row 2: the rlnImageSize(.|\n)*whole number"),
        (given(OPTICS, "rlnCtfDataAreCtfPremultiplied", 0, "2"), PARTICLES, "row 1: the rlnCtfDataAreCtfPre"),
        (OPTICS, given(PARTICLES, "rlnDefocusV", 1, "1e300"), r"row 2: rlnDefocusV is not possible \(1 of 3"),
        (OPTICS, given(PARTICLES, "rlnOriginYAngst", 2, "-1e7"), "row 3: rlnOriginYAngst is not possible"),
        (OPTICS, {**PARTICLES, "rlnCtfBfactor": ["0", "1e6", "0"]}, "row 2: rlnCtfBfactor is not possible"),
        (OPTICS, {**PARTICLES, "rlnCtfBfactor": ["-1e6"] * 3}, r"row 1: rlnCtfBfactor(.|\n)*-10,000 to"),
        (OPTICS, {**PARTICLES, "rlnCtfScalefactor": ["1", "1", "1e9"]}, "row 3: rlnCtfScalefactor is not"),
    ],
)  # fmt: skip
def test_what_is_not_possible(tmp_path: Path, optics: Table, table: Table, message: str) -> None:
    path = star(tmp_path / "bad.star", optics=optics, particles=table)
    with pytest.raises(InputError, match=message) as caught:
        read_particles(path)
    assert str(caught.value).startswith(str(path))


def test_numbers_that_no_float_holds_stay_text(tmp_path: Path) -> None:
    names = ["12345678901234567890123", "18446744073709551615", "7"]
    table = read_particles(
        star(tmp_path / "a.star", optics=OPTICS, particles={**PARTICLES, "myId": names})
    ).table
    assert table["myId"].tolist() == names
