"""Optics groups of CryoSPARC's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.io.cryosparc.read import read_cryosparc
from tests.io.cryosparc_files import ABERRATIONS, particles, save


def test_groups_are_distinct_sets_of_values(tmp_path: Path) -> None:
    table = particles()
    table["ctf/exp_group_id"] = [0, 0, 1, 1, 1, 7, 7, 7]
    table["ctf/cs_mm"] = [2.7, 2.7, 2.7, 2.7, 0.01, 2.7, 2.7, 2.7]
    table["blob/psize_A"][7] = 1.1
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    names = ["exposureGroup0", "exposureGroup1", "exposureGroup1_2", "exposureGroup7", "exposureGroup7_2"]
    assert [group.name for group in read.optics] == names
    assert [group.group for group in read.optics] == [1, 2, 3, 4, 5]
    for name, column in (("spherical_aberration", "ctf/cs_mm"), ("pixel_size", "blob/psize_A")):
        np.testing.assert_allclose(read.optics_column(name), table[column], rtol=1e-6)
    assert {group.box_size for group in read.optics} == {16}
    assert read.optics[0].spherical_aberration == 2.7, "the number that was meant, not its float32"


@pytest.mark.parametrize("name", ABERRATIONS)
def test_aberrations_that_are_set_are_named(tmp_path: Path, name: str) -> None:
    table = particles()
    table[name][3:, -1] = 0.01
    read = read_cryosparc(save(tmp_path / "a.cs", table))
    assert [read.optics[index].unmodelled for index in read.optics_index] == [()] * 3 + [(name,)] * 5
