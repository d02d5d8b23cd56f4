"""Groups are numbered in the order of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoalign.data.groups import group_names, number_groups
from cryoalign.data.split import split_particles
from cryoalign.errors import InputError
from cryoalign.io.cryosparc.write import write_table
from cryoalign.io.metadata import read_particles
from tests.io.cryosparc_files import particles, save

if TYPE_CHECKING:
    from pathlib import Path


def test_numbers_follow_the_names_and_have_no_gaps() -> None:
    found = number_groups(np.array(["b", "a", "c", "a"]))
    assert found.tolist() == [1, 0, 2, 0]
    assert found.dtype == np.int64


def test_a_row_of_a_table_is_one_name() -> None:
    assert number_groups(np.array([[300.0, 1.5], [200.0, 1.5], [300.0, 1.0], [300.0, 1.5]])).tolist() == [
        2, 0, 1, 2
    ]  # fmt: skip


def test_stacks_of_cryosparc_are_not_micrographs(tmp_path: Path) -> None:
    """Restacked particles lie in stacks that hold those of many micrographs: nothing may be split by them."""
    table = particles(12)
    bare = read_particles(save(tmp_path / "a.cs", table))
    with pytest.raises(InputError, match=r"do not name their micrographs(.|\n)*passthrough="):
        split_particles(bare, fractions={"train": 0.5, "validation": 0.25, "test": 0.25})
    assert group_names(bare, "blob/path").tolist() == table["blob/path"].astype(str).tolist()  # if asked to

    names = np.array([f"J2/mic_{row % 4}.mrc".encode() for row in range(12)])
    write_table(tmp_path / "more.cs", {"uid": table["uid"], "location/micrograph_path": names})
    whole = read_particles(tmp_path / "a.cs", tmp_path / "more.cs")
    split = split_particles(whole, fractions={"train": 0.5, "validation": 0.25, "test": 0.25})
    parts = [set(whole.micrograph[rows]) for rows in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 4
